"""A comparison of explainers on the painted squares, whose scores can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.conftest import checkpoint, square_reader, write_squares

from softcam.data.manifest import Manifest
from softcam.evaluation.comparison.plan import Plan, Settings, make_plan
from softcam.evaluation.comparison.records import Record
from softcam.evaluation.comparison.run import Explained, Work, explain_all
from softcam.model.checkpoint import Checkpoint, Head

FAKES = "tests.evaluation.comparison.fakes"
QUICK = Settings(resamples=20, patches=4)
QUIET = Work(batch_size=4, progress=False)


def soft_cam() -> Checkpoint:
    return checkpoint(square_reader())


def black_box() -> Checkpoint:
    return checkpoint(square_reader((-50.0, 50.0), (0.5, -0.5), cell=4), Head.GAP)


def plan_of(
    manifest: Manifest, explainers: Sequence[str] = ("softcam", "uniform"), settings: Settings = QUICK, **further: Any
) -> Plan:
    return make_plan([("ours", soft_cam())], manifest, settings, explainers=explainers, **further)


def compared(
    manifest: Manifest, out: Path, explainers: Sequence[str] = ("softcam", "uniform"), **further: Any
) -> tuple[Plan, Explained]:
    plan = plan_of(manifest, explainers, **further)
    return plan, explain_all(plan, out, QUIET)


def record(explainer: str, image: int, **values: float) -> Record:
    return Record(explainer, image, (4, 4), 1.0, 0.01, values)


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_squares(tmp_path_factory.mktemp("squares"))
