from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import f1_score, jaccard_score
from torch import Tensor

from softcam.errors import DataError
from softcam.metrics.overlap import Dice, IoU, Overlap, ThresholdSearch, dice, iou, overlap_curves, search_thresholds


def blobs(count: int, scale: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Maps that are higher inside their annotation, by less than their noise."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(count, 20, 23, generator=generator) < 0.3
    masks[:, 0, 0] = True
    return scale * (masks + torch.randn(count, 20, 23, generator=generator)), masks


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    decimals=st.integers(0, 4),
    threshold=st.floats(-2, 2, width=32),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_scikit_learn(shape, decimals, threshold, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(shape, generator=generator).round(decimals=decimals)
    masks = torch.rand(shape, generator=generator) < 0.4
    masks[:, 0, 0] = True
    pairs = [(mask.flatten(), image.flatten() > threshold) for image, mask in zip(maps, masks, strict=True)]
    expected = [jaccard_score(*pair) for pair in pairs]
    np.testing.assert_allclose(iou(maps, masks, threshold), expected, atol=1e-6)
    np.testing.assert_allclose(dice(maps, masks, threshold), [f1_score(*pair) for pair in pairs], atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    thresholds=st.lists(st.integers(-20, 20), min_size=1, max_size=30, unique=True),
    seed=st.integers(0, 2**31),
)
def test_histograms_give_what_each_threshold_gives(shape, thresholds, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(shape, generator=generator).round(decimals=1)  # values and thresholds often coincide
    masks = torch.rand(shape, generator=generator) < 0.4
    tried = torch.tensor(sorted(thresholds)) / 10
    for measure, at in ((Overlap.IOU, iou), (Overlap.DICE, dice)):
        expected = torch.stack([at(maps, masks, threshold.item()) for threshold in tried], dim=1)
        torch.testing.assert_close(overlap_curves(maps, masks, tried, measure), expected, equal_nan=True)


def test_hand_counted() -> None:
    maps = torch.tensor([[[3.0, 1.0], [-2.0, 1.0]]])
    masks = torch.tensor([[[True, True], [True, False]]])
    assert iou(maps, masks, 0).tolist() == [0.5]
    assert dice(maps, masks, 0).tolist() == pytest.approx([2 / 3])
    assert iou(maps, masks, 1).tolist() == pytest.approx([1 / 3])  # a pixel at the threshold is not above it
    assert iou(masks.float(), masks, 0.5).tolist() == [1]


@pytest.mark.parametrize("score", [iou, dice])
def test_what_finds_nothing_and_what_there_is_not_to_find(score) -> None:
    maps, masks = blobs(4)
    assert (score(-maps.abs(), masks, 0) == 0).all()
    assert (score(torch.zeros_like(maps), masks, 0) == 0).all()
    assert score(maps, masks & False, 0).isnan().all()
    maps[1, 5, 5], maps[2, 5, 5] = torch.nan, torch.inf
    assert score(maps, masks, 0).isnan().tolist() == [False, True, True, False]
    assert overlap_curves(maps, masks, torch.zeros(1)).isnan().flatten().tolist() == [False, True, True, False]
    with pytest.raises(DataError, match="masks must be bool"):
        score(maps, masks.float(), 0)
    with pytest.raises(DataError, match=r"must have one shape \(N, H, W\)"):
        score(maps[:, 1:], masks, 0)


@pytest.mark.parametrize("measure", Overlap)
def test_search_finds_the_best_threshold_of_all(measure) -> None:
    maps, masks = blobs(6)
    search = ThresholdSearch(measure)
    search.update(maps[:2], masks[:2])
    search.update(maps[2:], masks[2:])
    found = overlap_curves(maps, masks, search.compute().reshape(1), measure).mean()
    tried = overlap_curves(maps, masks, search_thresholds(), measure).mean(dim=0)
    torch.testing.assert_close(found, tried.max(), atol=1e-5, rtol=0)
    everywhere = overlap_curves(maps, masks, torch.linspace(-3, 3, 2000), measure).mean(dim=0)
    assert found >= everywhere.max() - 0.01


@settings(deadline=None, max_examples=15)
@given(octaves=st.integers(-30, 18))
def test_the_threshold_is_in_the_units_of_the_map(octaves) -> None:
    thresholds = []
    for scale in (1.0, 2.0**octaves):
        search = ThresholdSearch()
        search.update(*blobs(3, scale))
        thresholds.append(search.compute().item() / scale)
    assert thresholds[0] == pytest.approx(thresholds[1], rel=1e-6)


def test_a_threshold_can_be_negative_and_is_in_the_middle_of_equal_ones() -> None:
    maps = torch.tensor([[[-1.0, -4.0, -4.0]]])
    search = ThresholdSearch()
    search.update(maps, maps > -2)
    assert search.compute().item() == pytest.approx(-2, rel=0.05)
    search.reset()
    search.update(maps, maps < -9)
    assert search.compute().isnan()


def test_classes_stream_the_mean_over_annotated_images() -> None:
    maps, masks = blobs(5)
    masks[3] = False
    for metric, function in ((IoU(0.4), iou), (Dice(0.4), dice)):
        metric.update(maps[:2], masks[:2])
        metric.update(maps[2:], masks[2:])
        torch.testing.assert_close(metric.compute(), function(maps, masks, 0.4).nanmean())
