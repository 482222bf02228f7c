"""Is the evidence where the annotation is? Scores per image, and their means as torchmetrics classes.

Every function takes maps at the size of the masks (:func:`upsample_maps`). Decisions that hold throughout:

* An image without annotated pixels scores NaN and is left out of means: there is nothing to be found in it.
* A map without positive evidence scores 0 where positive evidence is scored: it found nothing.
* A positive factor leaves the scores as they are, an offset does not: score the contrast without the bias.

A score says little by itself: put :func:`chance_map` and :func:`ceiling_map` through the same metric and
report all three.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from softcam.errors import DataError
from softcam.metrics.streaming import ImageMean
from softcam.metrics.validation import annotated_only, checked_pair, require_finite, rounding_error


def activation_precision(maps: Tensor, masks: Tensor) -> Tensor:
    r"""Share of the positive evidence that lies inside the annotation.

    :math:`\sum S M / \sum S`, with :math:`S` the positive part of the map. Chance is the annotated share of
    the image. Known as the energy-based pointing game (`Wang et al. 2020
    <https://arxiv.org/abs/1910.01279>`_); activation precision in `Djoumessi & Berens
    <https://arxiv.org/abs/2505.17748>`_, eq. 6.

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.

    Returns:
        ``(N,)`` in [0, 1]; 0 for a map without positive evidence, NaN for an empty mask.

    Raises:
        DataError: If the shapes differ, the masks are not bool, or a map is not finite.

    Example:
        >>> maps = torch.tensor([[[3.0, 1.0], [-2.0, 0.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> activation_precision(maps, masks)
        tensor([0.7500])
    """
    maps, masks = checked_pair(maps, masks)
    evidence = _relative_evidence(maps)
    total = evidence.sum(dim=(1, 2))
    inside = (evidence * masks).sum(dim=(1, 2))
    return annotated_only((inside / total.where(total > 0, 1)).clamp(max=1), masks)


def activation_sensitivity(maps: Tensor, masks: Tensor) -> Tensor:
    r"""Mean height of the positive evidence inside the annotation, relative to the map's peak.

    :math:`\sum \hat S M / \sum M`, with :math:`\hat S = S / \max S` (`Djoumessi & Berens
    <https://arxiv.org/abs/2505.17748>`_, eq. 7). A map of ones scores 1: never report it without precision.

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.

    Returns:
        ``(N,)`` in [0, 1]; 0 for a map without positive evidence, NaN for an empty mask.

    Raises:
        DataError: If the shapes differ, the masks are not bool, or a map is not finite.

    Example:
        >>> maps = torch.tensor([[[4.0, 1.0], [-2.0, 0.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> activation_sensitivity(maps, masks)
        tensor([0.5000])
    """
    maps, masks = checked_pair(maps, masks)
    inside = (_relative_evidence(maps) * masks).sum(dim=(1, 2))
    return annotated_only(inside / masks.sum(dim=(1, 2)).clamp(min=1), masks)


def pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """Whether the map's maximum lies inside the annotation.

    Several equal maxima share: the score is the fraction of them that lie inside, so that a constant map
    scores the annotated share of the image, which is chance, exactly. Values that differ by rounding only
    count as equal. The maximum counts whatever its sign. After `Zhang et al. 2018
    <https://arxiv.org/abs/1608.00507>`_, without their tolerance of 15 px around the annotation.

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.

    Returns:
        ``(N,)`` in [0, 1], NaN for an empty mask.

    Raises:
        DataError: If the shapes differ, the masks are not bool, or a map is not finite.

    Example:
        >>> maps = torch.tensor([[[3.0, 1.0], [3.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]])
        >>> masks = torch.tensor([[True, False], [False, False]]).expand(2, 2, 2)
        >>> pointing_game(maps, masks)
        tensor([0.5000, 0.2500])
    """
    maps, masks = checked_pair(maps, masks)
    flat = maps.flatten(1)
    maxima = flat >= flat.amax(dim=1, keepdim=True) - rounding_error(flat)
    inside = (maxima & masks.flatten(1)).sum(dim=1)
    return annotated_only(inside / maxima.sum(dim=1), masks)


def activation_consistency(maps: Tensor, diseased: Tensor) -> Tensor:
    """Share of the cells whose sign agrees with the image's label.

    On a diseased image the share of cells above 0, on a healthy one the share below 0, of the contrast map at
    its own resolution; cells at exactly 0 agree with neither (`Djoumessi & Berens
    <https://arxiv.org/abs/2505.17748>`_).

    Args:
        maps: Contrast maps ``(N, h, w)``, positive for disease.
        diseased: ``(N,)``, bool.

    Returns:
        ``(N,)`` in [0, 1].

    Raises:
        DataError: If the shapes do not go together, ``diseased`` is not bool, or a map is not finite.

    Example:
        >>> maps = torch.tensor([[[1.0, -1.0, 2.0, 3.0]], [[0.0, -1.0, -2.0, 3.0]]])
        >>> activation_consistency(maps, torch.tensor([True, False]))
        tensor([0.7500, 0.5000])
    """
    if maps.ndim != 3 or diseased.shape != maps.shape[:1] or diseased.dtype is not torch.bool:
        raise DataError(
            f"maps must be (N, h, w) and diseased (N,) bool, got {tuple(maps.shape)} and "
            f"{tuple(diseased.shape)} {diseased.dtype}: pass the contrast map of one class and labels > 0"
        )
    require_finite(maps)
    sign = torch.where(diseased, 1, -1)[:, None]
    return (maps.flatten(1).sign() == sign).float().mean(dim=1)


def upsample_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring maps to the size of an image, bilinearly, each cell's value at the cell's centre.

    Args:
        maps: ``(N, h, w)`` or ``(N, K, h, w)``.
        size: Height and width in pixels.

    Returns:
        ``(N, *size)`` or ``(N, K, *size)``.

    Example:
        >>> upsample_maps(torch.tensor([[[0.0, 4.0]]]), (1, 4))
        tensor([[[0., 1., 3., 4.]]])
    """
    if maps.ndim == 3:
        return upsample_maps(maps[:, None], size)[:, 0]
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def ceiling_map(masks: Tensor, map_size: tuple[int, int]) -> Tensor:
    """Return the best map that a resolution allows: the annotation itself, seen through the map's cells.

    The mask is averaged into ``map_size`` cells and upsampled as a model's map is. Its score is the ceiling
    that a model with maps of that size can be expected to reach.

    Args:
        masks: Annotations ``(N, H, W)``, bool.
        map_size: Cells of the model's map, ``(h, w)``.

    Returns:
        Maps ``(N, H, W)`` in [0, 1].

    Example:
        >>> mask = torch.tensor([[[True, False, False, False]]])
        >>> ceiling_map(mask, (1, 2))
        tensor([[[0.5000, 0.3750, 0.1250, 0.0000]]])
    """
    height, width = masks.shape[-2:]
    cells = F.adaptive_avg_pool2d(masks.float()[:, None], map_size)
    return upsample_maps(cells, (height, width))[:, 0]


def chance_map(masks: Tensor) -> Tensor:
    """Return the uniform map, whose scores are what knowing nothing about the image is worth.

    Args:
        masks: Annotations ``(N, H, W)``.

    Returns:
        Ones ``(N, H, W)``.

    Example:
        >>> masks = torch.tensor([[[True, False, False, False]]])
        >>> activation_precision(chance_map(masks), masks), pointing_game(chance_map(masks), masks)
        (tensor([0.2500]), tensor([0.2500]))
    """
    return torch.ones_like(masks, dtype=torch.float32)


class ActivationPrecision(ImageMean):
    """Mean :func:`activation_precision` over the annotated images.

    Example:
        >>> metric = ActivationPrecision()
        >>> maps = torch.tensor([[[3.0, 1.0]], [[1.0, 1.0]]])
        >>> metric.update(maps, torch.tensor([[[True, False]], [[False, False]]]))
        >>> metric.compute()
        tensor(0.7500)
    """

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return activation_precision(maps, truth)


class ActivationSensitivity(ImageMean):
    """Mean :func:`activation_sensitivity` over the annotated images."""

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return activation_sensitivity(maps, truth)


class PointingGame(ImageMean):
    """Mean :func:`pointing_game` over the annotated images."""

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return pointing_game(maps, truth)


class ActivationConsistency(ImageMean):
    """Mean :func:`activation_consistency` over all images; ``truth`` is ``(N,)`` bool, true for diseased."""

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return activation_consistency(maps, truth)


def _relative_evidence(maps: Tensor) -> Tensor:
    """Divide the positive part by its peak, so that no sum over pixels overflows or underflows."""
    evidence = maps.clamp(min=0)
    peak = evidence.amax(dim=(1, 2), keepdim=True)
    return evidence / peak.where(peak > 0, 1)
