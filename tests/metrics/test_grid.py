from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import spearmanr

from softcam.errors import ConfigError
from softcam.metrics.grid import patch_ranks, patch_side

SIDES = st.integers(1, 30)


def bounds(length: int, patch: int) -> list[tuple[int, int]]:
    """Cut a length into the number of parts next to length / patch, each from the ceiling of its share."""
    parts = max(1, int(length / patch + 0.5))
    edges = [-(-part * length // parts) for part in range(parts + 1)]
    return list(pairwise(edges))


@settings(deadline=None, max_examples=60)
@given(height=SIDES, width=SIDES, patch=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_ranks_follow_the_mean_within_each_patch(height, width, patch, seed) -> None:
    maps = torch.randn(2, height, width, generator=torch.Generator().manual_seed(seed))
    ranks, count = patch_ranks(maps, patch)
    rows, columns = bounds(height, patch), bounds(width, patch)
    assert count == len(rows) * len(columns)
    for image, ranked in zip(maps.numpy(), ranks.numpy(), strict=True):
        boxes = [np.s_[top:bottom, left:right] for top, bottom in rows for left, right in columns]
        turns = [np.unique(ranked[box]) for box in boxes]
        assert all(len(turn) == 1 for turn in turns)
        assert sorted(int(turn[0]) for turn in turns) == list(range(count))
        in_turn = [image[box].mean() for _, box in sorted(zip(turns, boxes, strict=True), key=lambda pair: pair[0][0])]
        assert (np.diff(in_turn) <= 1e-6).all()


@settings(deadline=None, max_examples=60)
@given(length=st.integers(1, 600), patch=st.integers(1, 60))
def test_patches_are_even_and_of_about_the_size_asked_for(length, patch) -> None:
    sides = [right - left for left, right in bounds(length, patch)]
    assert sum(sides) == length
    assert max(sides) - min(sides) <= 1
    ranks, count = patch_ranks(torch.arange(length).float().expand(1, 1, -1), patch)
    assert torch.bincount(ranks.flatten(), minlength=count).flip(0).tolist() == sides


def test_a_flat_map_has_no_favourite_place() -> None:
    ranks, count = patch_ranks(torch.full((2, 64, 64), -3.0), patch=4)
    assert count == 256
    assert torch.equal(ranks[0], ranks[1])
    rows, columns = (axis.flatten() for axis in torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij"))
    for axis in (rows, columns, (rows - 31.5).abs() + (columns - 31.5).abs()):
        assert abs(spearmanr(axis, ranks[0].flatten()).statistic) < 0.15


def test_rounding_does_not_decide_the_order() -> None:
    flat = torch.full((1, 30, 31), 0.3)
    noisy = flat * (1 + torch.finfo().eps * torch.randn(1, 30, 31).clamp(-2, 2))
    assert torch.equal(patch_ranks(noisy, 5)[0], patch_ranks(flat, 5)[0])
    assert torch.equal(patch_ranks(torch.zeros(1, 30, 31), 5)[0], patch_ranks(flat, 5)[0])


def test_ties_come_after_what_is_higher() -> None:
    maps = torch.zeros(1, 1, 6)
    maps[0, 0, 4], maps[0, 0, 1] = 1, -1
    ranks = patch_ranks(maps, 1)[0][0, 0].tolist()
    assert (ranks[4], ranks[1]) == (0, 5)


def test_a_patch_has_a_side() -> None:
    with pytest.raises(ConfigError, match="at least 1 px, got 0"):
        patch_ranks(torch.rand(1, 4, 4), 0)
    assert patch_side((1024, 768)) == round(33 * 1.5)
