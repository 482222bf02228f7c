"""The map as a segmentation: IoU and Dice of the pixels above a threshold, the same one for all images.

A threshold for a whole data set is in the units of the map, and has to be chosen on other images than those it is
scored on: :class:`ThresholdSearch` on validation images, then :class:`IoU` or :class:`Dice` at its threshold. A pixel
belongs to the segmentation if its value is above the threshold. An image without annotated pixels scores NaN, as in
:mod:`softcam.metrics.localization`; so does a map that is not finite. A map that is nowhere above the threshold, such
as a negative one, scores 0.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from softcam.metrics.streaming import ImageMean
from softcam.metrics.validation import annotated_only, checked_shapes

_PER_OCTAVE = 16
_LOWEST, _HIGHEST = -40, 24  # powers of two: 1e-12 (gradients) to 1e7


class Overlap(StrEnum):
    """A measure of how far a segmentation and an annotation cover each other."""

    IOU = "iou"
    DICE = "dice"

    def of(self, both: Tensor, predicted: Tensor, annotated: Tensor) -> Tensor:
        """Return the measure from numbers of pixels: in both, in the segmentation, in the annotation (above 0)."""
        if self is Overlap.IOU:
            return both / (predicted + annotated - both)
        return 2 * both / (predicted + annotated)


def iou(maps: Tensor, masks: Tensor, threshold: float) -> Tensor:
    """Intersection over union of the pixels above a threshold and the annotated ones (the Jaccard index).

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.
        threshold: In the units of the maps.

    Returns:
        ``(N,)`` in [0, 1]; NaN for an empty mask or a map that is not finite.

    Raises:
        DataError: If the shapes differ, or the masks are not bool.

    Example:
        >>> maps = torch.tensor([[[3.0, 1.0, -2.0, 0.0]]])
        >>> iou(maps, torch.tensor([[[True, False, True, False]]]), threshold=0.5)
        tensor([0.3333])
    """
    return _at_threshold(Overlap.IOU, maps, masks, threshold)


def dice(maps: Tensor, masks: Tensor, threshold: float) -> Tensor:
    """Dice coefficient of the pixels above a threshold and the annotated ones (their F1 score).

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.
        threshold: In the units of the maps.

    Returns:
        ``(N,)`` in [0, 1]; NaN for an empty mask or a map that is not finite.

    Raises:
        DataError: If the shapes differ, or the masks are not bool.

    Example:
        >>> maps = torch.tensor([[[3.0, 1.0, -2.0, 0.0]]])
        >>> dice(maps, torch.tensor([[[True, False, True, False]]]), threshold=0.5)
        tensor([0.5000])
    """
    return _at_threshold(Overlap.DICE, maps, masks, threshold)


def search_thresholds() -> Tensor:
    """Return the thresholds that a search tries, rising: 0, and either side of it powers of two, 16 per octave.

    Maps of different methods differ in scale by orders of magnitude, and a threshold has to be found before the
    scale is known: these reach from 1e-12 to 1e7, and neighbours are 4.4 % apart.

    Example:
        >>> thresholds = search_thresholds()
        >>> len(thresholds), bool((thresholds == 1).any()), thresholds.abs().min().item()
        (2051, True, 0.0)
    """
    exponents = torch.arange(_LOWEST * _PER_OCTAVE, _HIGHEST * _PER_OCTAVE + 1, dtype=torch.float64) / _PER_OCTAVE
    positive = exponents.exp2()
    return torch.cat([-positive.flip(0), positive.new_zeros(1), positive]).float()


def overlap_curves(maps: Tensor, masks: Tensor, thresholds: Tensor, measure: Overlap = Overlap.IOU) -> Tensor:
    """Measure the overlap at many thresholds at once, from histograms inside and outside the annotation.

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.
        thresholds: ``(T,)``, rising.
        measure: IoU or Dice.

    Returns:
        ``(N, T)`` in [0, 1]; NaN for an empty mask or a map that is not finite.

    Raises:
        DataError: If the shapes differ, or the masks are not bool.

    Example:
        >>> maps = torch.tensor([[[3.0, 1.0, -2.0, 0.0]]])
        >>> overlap_curves(maps, torch.tensor([[[True, False, True, False]]]), torch.tensor([-1.0, 0.5, 2.0]))
        tensor([[0.2500, 0.3333, 0.5000]])
    """
    maps, masks = checked_shapes(maps, masks)
    thresholds = thresholds.to(maps)
    # The number of thresholds that a pixel is above; from there on down, it is in the segmentation.
    passed = torch.bucketize(maps.flatten(1).nan_to_num(), thresholds)
    counts = [_counts(passed, weights.flatten(1), len(thresholds)) for weights in (masks, torch.ones_like(masks))]
    both, predicted = (count.flip(1).cumsum(dim=1).flip(1)[:, 1:] for count in counts)
    annotated = masks.sum(dim=(1, 2))[:, None]
    return _defined(measure.of(both, predicted, annotated.clamp(min=1)), maps, masks)


class IoU(ImageMean):
    """Mean :func:`iou` over the annotated images.

    Args:
        threshold: In the units of the maps; from :class:`ThresholdSearch` on validation images.
        **settings: Settings of :class:`torchmetrics.Metric`.
    """

    def __init__(self, threshold: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.threshold = threshold

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return iou(maps, truth, self.threshold)


class Dice(ImageMean):
    """Mean :func:`dice` over the annotated images.

    Args:
        threshold: In the units of the maps; from :class:`ThresholdSearch` on validation images.
        **settings: Settings of :class:`torchmetrics.Metric`.
    """

    def __init__(self, threshold: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.threshold = threshold

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return dice(maps, truth, self.threshold)


class ThresholdSearch(ImageMean):
    """The threshold of :func:`search_thresholds` at which the mean overlap over the annotated images is highest.

    What is streamed is the mean overlap at every threshold, a few thousand numbers; no map is kept.

    Args:
        measure: IoU or Dice; the best thresholds of their means differ.
        **settings: Settings of :class:`torchmetrics.Metric`.

    Example:
        >>> search = ThresholdSearch()
        >>> search.update(torch.tensor([[[3.0, 0.9, -2.0, 0.0]]]), torch.tensor([[[True, False, False, False]]]))
        >>> search.compute()
        tensor(1.6818)
    """

    higher_is_better = None

    thresholds: Tensor

    def __init__(self, measure: Overlap = Overlap.IOU, **settings: Any) -> None:
        self.measure = measure
        super().__init__(**settings)
        self.register_buffer("thresholds", search_thresholds(), persistent=False)

    def _score_shape(self) -> tuple[int, ...]:
        return (len(search_thresholds()),)

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return overlap_curves(maps, truth, self.thresholds, self.measure)

    def compute(self) -> Tensor:
        """Return the best threshold so far, NaN without a scored image.

        Where several are best, the middle one: it is furthest from where the segmentation would change.
        """
        means = super().compute()
        best = self.thresholds[means >= means.amax() - 1e-6]
        return best[len(best) // 2] if len(best) else means.new_tensor(torch.nan)


def _at_threshold(measure: Overlap, maps: Tensor, masks: Tensor, threshold: float) -> Tensor:
    maps, masks = checked_shapes(maps, masks)
    predicted = maps > threshold
    both, either = ((predicted & masks).sum(dim=(1, 2)), predicted.sum(dim=(1, 2)))
    return _defined(measure.of(both, either, masks.sum(dim=(1, 2)).clamp(min=1)), maps, masks)


def _counts(bins: Tensor, weights: Tensor, highest: int) -> Tensor:
    """Count by image the pixels ``bins`` (N, P) in each of 0, ..., ``highest`` that ``weights`` (N, P) marks."""
    zeros = torch.zeros(len(bins), highest + 1, dtype=torch.int64, device=bins.device)
    return zeros.scatter_add_(1, bins, weights.long())


def _defined(values: Tensor, maps: Tensor, masks: Tensor) -> Tensor:
    """Put NaN in ``values`` (N, ...) where there is nothing to find or nothing to find it with."""
    finite = maps.isfinite().flatten(1).all(dim=1).reshape(-1, *[1] * (values.ndim - 1))
    return annotated_only(values, masks).where(finite, torch.nan)
