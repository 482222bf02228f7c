from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from tests.delivery.viewer.conftest import encoded, picture, viewed
from tests.reporting.networks import CELL, SIZE, black_box, checkpoint
from torch import nn

from softcam.delivery.viewer.viewed import ViewedModel
from softcam.errors import CheckpointError, ConversionError
from softcam.explainers.integrated import Baseline
from softcam.model.checkpoint import Checkpoint
from softcam.reporting.selection import common_limit


def test_it_knows_the_size_of_its_maps() -> None:
    assert viewed().map_size == (SIZE // CELL, SIZE // CELL)


def test_a_black_box_is_converted_where_that_changes_nothing() -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    given = black_box(head)
    inputs = torch.randn(3, SIZE, SIZE)
    (evidence,) = ViewedModel.of("box", given).explain([inputs])
    assert np.allclose(evidence.logits, given.model(inputs[None])[0].detach(), atol=1e-5)
    assert evidence.completeness_error < 1e-5


def test_a_black_box_that_would_change_is_refused() -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(ConversionError):
        ViewedModel.of("box", black_box(head))


def test_a_card_without_preprocessing_is_refused() -> None:
    given = checkpoint()
    card = type(given.card)(**{**vars(given.card), "preprocessing": {}})
    with pytest.raises(CheckpointError, match=r"^the card of first does not say how to prepare images"):
        ViewedModel.of("first", Checkpoint(given.model, card))


def test_a_folder_sets_the_scale_as_it_does_for_reports(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        path.write_bytes(encoded(picture(seed)))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    model = viewed()
    inputs = torch.stack(
        [model.preprocessing(torch.from_numpy(picture(seed)).permute(2, 0, 1) / 255) for seed in range(3)]
    )
    expected = common_limit(model.model.explain(inputs).contrast().numpy())
    assert model.scaled_by([*paths, broken]).limit == expected
    assert model.scaled_by([broken]).limit is None
    assert model.scaled_by([]).limit is None
    assert viewed(limit=3).scaled_by(paths).limit == 3


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    size=st.tuples(st.integers(7, 30), st.integers(7, 30)),
    seed=st.integers(0, 99),
)
def test_pixels_below_erased_cells_are_those_of_the_blurred_image(
    height: int, width: int, size: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(3, *size, generator=generator)
    cells = torch.rand(height, width, generator=generator) < 0.5
    removed = nn.functional.interpolate(cells[None, None].float(), size, mode="nearest-exact")[0, 0].bool()
    result = viewed().without(inputs, cells.numpy())
    blurred = Baseline.BLUR.of(inputs[None])[0]
    covers = [size[0] % height == 0, size[1] % width == 0]
    if all(covers):
        assert torch.equal(result, torch.where(removed, blurred, inputs))
    assert ((result == inputs) | (result == blurred)).all()
    assert torch.equal(viewed().without(inputs, np.zeros((height, width), bool)), inputs)
    assert torch.equal(viewed().without(inputs, np.ones((height, width), bool)), blurred)
