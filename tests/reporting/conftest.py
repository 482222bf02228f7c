"""Two runs about the painted squares: one that reads them, and a black box that reads them in coarse cells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.evaluation.conftest import checkpoint, square_reader, write_squares

from softcam.data.manifest import Manifest
from softcam.evaluation.evaluate import evaluate
from softcam.model.checkpoint import Checkpoint, Head, save_checkpoint
from softcam.reporting.measured import Measured, NamedRun, measured_runs

NAMES = ("Coarse <box>", "Fine")
"""The first is written so that a page that does not escape it breaks."""


def two_checkpoints() -> list[Checkpoint]:
    coarse = checkpoint(square_reader((-50.0, 50.0), (0.5, -0.5), cell=4), Head.GAP)
    return [coarse, checkpoint(square_reader())]


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="session")
def measured(squares: Manifest, tmp_path_factory: pytest.TempPathFactory) -> list[Measured]:
    checkpoints = two_checkpoints()
    evaluations = [evaluate(each, squares, resamples=20, progress=False) for each in checkpoints]
    folder = tmp_path_factory.mktemp("runs")
    return measured_runs([NamedRun(name, folder) for name in NAMES], checkpoints, evaluations)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Folders of the two runs, as trained ones lie on disk."""
    built = [square_reader((0.0, 0.0), (0.0, 0.0), cell) for cell in (4, 1)]
    monkeypatch.setattr(
        "softcam.model.checkpoint.build_backbone", lambda name, **_: built[0 if name == "coarse" else 1]
    )
    paths = []
    for name, given in zip(("coarse", "fine"), two_checkpoints(), strict=True):
        card = given.card.__class__(**{**vars(given.card), "backbone": name})
        save_checkpoint(given.model, card, tmp_path / name / "model")
        paths.append(tmp_path / name)
    yield paths
