"""The map as a detector of annotated pixels: AUROC and average precision within each image, exact.

They judge the order of a map's pixels, whatever their sign and scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softcam.metrics.streaming import ImageMean
from softcam.metrics.validation import annotated_only, checked_pair


def pixel_auroc(maps: Tensor, masks: Tensor) -> Tensor:
    """Probability that an annotated pixel scores above one that is not, equal pixels counted half.

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.

    Returns:
        ``(N,)`` in [0, 1], .5 at chance; NaN for a mask that is empty or covers the image.

    Raises:
        DataError: If the shapes differ, the masks are not bool, or a map is not finite.

    Example:
        >>> maps = torch.tensor([[[4.0, 3.0, 2.0, 2.0]]])
        >>> pixel_auroc(maps, torch.tensor([[[True, False, True, False]]]))
        tensor([0.6250])
    """
    maps, masks = checked_pair(maps, masks)
    hits, falses = _counts_by_threshold(maps, masks)
    doubled_area = (falses.diff(dim=1) * (hits[:, 1:] + hits[:, :-1])).sum(dim=1)
    return doubled_area / (2 * hits[:, -1] * falses[:, -1])


def pixel_average_precision(maps: Tensor, masks: Tensor) -> Tensor:
    """Average precision of the pixels: precision at each threshold, weighted by the recall gained there.

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.

    Returns:
        ``(N,)`` in (0, 1], the annotated share of the image at chance; NaN for an empty mask.

    Raises:
        DataError: If the shapes differ, the masks are not bool, or a map is not finite.

    Example:
        >>> maps = torch.tensor([[[4.0, 3.0, 2.0, 2.0]]])
        >>> pixel_average_precision(maps, torch.tensor([[[True, False, True, False]]]))
        tensor([0.7500])
    """
    maps, masks = checked_pair(maps, masks)
    hits, falses = _counts_by_threshold(maps, masks)
    precision = hits / (hits + falses).clamp(min=1)
    area = (hits.diff(dim=1) * precision[:, 1:]).sum(dim=1) / hits[:, -1]
    return annotated_only(area, masks)


def _counts_by_threshold(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Count annotated and other pixels at or above each value, from the highest down: two ``(N, 1 + P)``.

    Both start at 0. Within a run of equal values the counts stay at those before it until its last element,
    so that a run adds one step, as it must for ties, and images with different numbers of runs stay in one
    tensor.
    """
    values, order = maps.flatten(1).sort(dim=1, descending=True)
    ends_run = torch.ones_like(values, dtype=torch.bool)
    ends_run[:, :-1] = values[:, 1:] != values[:, :-1]
    hits = masks.flatten(1).gather(1, order).cumsum(dim=1)
    ranks = torch.arange(1, values.shape[1] + 1, device=values.device)
    steps = [torch.where(ends_run, counts, 0).cummax(dim=1).values for counts in (hits, ranks - hits)]
    hits, falses = (torch.nn.functional.pad(counts, (1, 0)) for counts in steps)
    return hits, falses


class PixelAUROC(ImageMean):
    """Mean :func:`pixel_auroc` over the annotated images."""

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return pixel_auroc(maps, truth)


class PixelAveragePrecision(ImageMean):
    """Mean :func:`pixel_average_precision` over the annotated images."""

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return pixel_average_precision(maps, truth)
