from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softcam.explainers import METHODS, Resolution, Sign, build_explainer
from tests.explainers.networks import NETWORKS, batch


@pytest.mark.parametrize("method", METHODS)
def test_the_table_says_what_the_maps_are(method: str) -> None:
    row = METHODS[method]
    explanation = build_explainer(method, NETWORKS["black box"](), example=batch(1))(
        batch(4), torch.tensor([0, 1, 2, 1])
    )
    negative = bool((explanation.maps < 0).any())
    assert row.sign is (Sign.SIGNED if negative else Sign.UNSIGNED)
    assert explanation.map_size == {Resolution.CELLS: (4, 4), Resolution.SQUARES: (16, 16)}.get(
        row.resolution, (16, 16)
    )
    assert build_explainer(method, NETWORKS["black box"](), example=batch(1)).name == method


def test_titles_are_told_apart_and_sources_are_dated() -> None:
    assert len({row.title for row in METHODS.values()}) == len(METHODS)
    assert all(row.source == "control" or row.source[-4:].isdigit() for row in METHODS.values())


def test_the_documented_table_is_this_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "own-explainer.md").read_text(encoding="utf-8")
    for name, row in METHODS.items():
        cells = (f"`{name}`", row.title, row.sign, row.resolution, row.passes, row.source)
        assert f"| {' | '.join(cells)} |" in page
