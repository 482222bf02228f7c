"""Resampling that keeps the mean of a map, whatever the two sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def resample_area(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resample maps ``(N, K, h, w)`` to ``size`` so that the mean of each stays exactly what it was.

    Each new cell is the average of the old cells under it, weighted by the overlapping area. For an integer
    factor this is nearest-neighbour upsampling; unlike that, and unlike adaptive pooling, it also keeps the
    mean for sizes that do not divide one another, which odd input sizes produce.

    Args:
        maps: ``(N, K, *spatial)``.
        size: The new spatial size.

    Returns:
        Maps ``(N, K, *size)``.
    """
    for axis, length in enumerate(size, start=2):
        weights = overlap_weights(maps.shape[axis], length, like=maps)
        maps = torch.movedim(torch.movedim(maps, axis, -1) @ weights, -1, axis)
    return maps


def overlap_weights(source: int, target: int, like: Tensor) -> Tensor:
    """Return weights ``(source, target)``: the share of each target cell that each source cell covers."""
    # in units of 1 / (source · target), so that all edges are whole numbers and exact
    left = torch.arange(source, device=like.device).unsqueeze(1) * target
    start = torch.arange(target, device=like.device).unsqueeze(0) * source
    overlap = torch.minimum(left + target, start + source) - torch.maximum(left, start)
    return overlap.clamp(min=0).to(like.dtype) / source
