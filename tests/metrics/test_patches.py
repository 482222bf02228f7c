from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from softcam.errors import ConfigError
from softcam.metrics.localization import chance_map
from softcam.metrics.patches import TopKPrecision, annotated_patches, peak_patches, topk_chance, topk_precision


def window(mask: Tensor, row: int, column: int, side: int) -> Tensor:
    top, left = row - side // 2, column - side // 2
    return mask[max(top, 0) : top + side, max(left, 0) : left + side]


def greedy_reference(image: Tensor, mask: Tensor, k: int, side: int) -> list[float]:
    """Place patches one by one over the sorted pixels, as a detector's non-maximum suppression does."""
    width = image.shape[1]
    chosen: list[tuple[int, int]] = []
    for index in image.flatten().argsort(descending=True).tolist():
        row, column = divmod(index, width)
        apart = all(max(abs(row - r), abs(column - c)) >= side for r, c in chosen)
        if apart and image[row, column] > 0 and len(chosen) < k:
            chosen.append((row, column))
    hits = [bool(window(mask, row, column, side).any()) for row, column in chosen]
    precision = [sum(hits[: j + 1]) / (j + 1) for j in range(len(hits))]
    last = precision[-1] if precision else 0.0
    return precision + [last] * (k - len(precision))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    side=st.integers(1, 7),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_one_by_one_suppression(shape, side, k, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, *shape, generator=generator)
    masks = torch.rand(2, *shape, generator=generator) < 0.1
    masks[:, 0, 0] = True
    precision = topk_precision(maps, masks, k=k, side=side)
    assert ((precision >= 0) & (precision <= 1)).all()
    expected = [greedy_reference(*pair, k, side) for pair in zip(maps, masks, strict=True)]
    torch.testing.assert_close(precision, torch.tensor(expected))
    torch.testing.assert_close(topk_precision(8 * maps, masks, k=k, side=side), precision)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    side=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_annotated_patches_look_at_every_window(shape, side, seed) -> None:
    mask = torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed)) < 0.1
    expected = [[bool(window(mask[0], r, c, side).any()) for c in range(shape[1])] for r in range(shape[0])]
    assert annotated_patches(mask, side)[0].tolist() == expected


def test_patches_do_not_overlap_and_run_out() -> None:
    centres, values = peak_patches(torch.randn(3, 20, 24), k=9, side=9)
    rows, columns = centres // 24, centres % 24
    gaps = torch.maximum((rows[:, :, None] - rows[:, None]).abs(), (columns[:, :, None] - columns[:, None]).abs())
    placed = values.isfinite()
    both = placed[:, :, None] & placed[:, None] & ~torch.eye(9, dtype=torch.bool)
    assert (gaps[both] >= 9).all()
    assert not placed[:, -1].any()
    assert (values.diff(dim=1)[placed[:, 1:]] <= 0).all()


def test_only_positive_evidence_places_patches() -> None:
    maps = torch.full((1, 9, 9), -1.0)
    maps[0, 4, 4] = 2.0
    masks = torch.zeros(1, 9, 9, dtype=torch.bool)
    masks[0, 4, 4] = True
    assert topk_precision(maps, masks, k=5, side=1).tolist() == [[1.0] * 5]
    assert topk_precision(-maps.abs(), masks, k=3, side=1).tolist() == [[0.0] * 3]
    assert topk_precision(maps, masks & False, k=3, side=1).isnan().all()


def test_a_flat_map_is_chance_on_average() -> None:
    masks = torch.zeros(400, 24, 24, dtype=torch.bool)
    places = torch.randint(0, 21, (400, 2), generator=torch.Generator().manual_seed(1))
    for mask, (row, column) in zip(masks, places.tolist(), strict=True):
        mask[row : row + 4, column : column + 4] = True
    chance = topk_chance(masks, side=5).mean()
    precision = topk_precision(chance_map(masks), masks, k=8, side=5).mean(dim=0)
    torch.testing.assert_close(precision[-1], chance, atol=0.02, rtol=0)


def test_class_streams_the_mean_of_each_k() -> None:
    maps, masks = torch.randn(5, 16, 16), torch.rand(5, 16, 16) < 0.02
    masks[0], masks[1, 3, 3] = False, True
    metric = TopKPrecision(k=4, side=3)
    metric.update(maps[:2], masks[:2])
    metric.update(maps[2:], masks[2:])
    torch.testing.assert_close(metric.compute(), topk_precision(maps, masks, k=4, side=3).nanmean(dim=0))


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="at least 1, got k=0 and side=33"):
        topk_precision(torch.rand(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool), k=0)
