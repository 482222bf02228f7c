"""Top-k localization precision: do the patches that a map would show a reader hold a lesion?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from softcam.errors import ConfigError
from softcam.metrics.streaming import ImageMean
from softcam.metrics.validation import annotated_only, checked_pair, rounding_error

_TIE_SEED = 0


def peak_patches(maps: Tensor, k: int, side: int) -> tuple[Tensor, Tensor]:
    """Find the k highest patches of each map that do not overlap.

    Every pixel is the centre of a candidate patch that scores the map's value there. Non-maximum suppression
    is greedy: the highest candidate is taken, every candidate whose patch would overlap it falls away, and so on.
    Equal candidates are taken in a fixed random order, so that a flat map has no favourite corner.

    Args:
        maps: ``(N, H, W)``, finite.
        k: Number of patches.
        side: Side of a patch in pixels.

    Returns:
        The centres as flat pixel indices ``(N, k)``, and the map's value there ``(N, k)``, falling; minus
        infinity once the image holds no further patch.

    Example:
        >>> centres, values = peak_patches(torch.tensor([[[1.0, 5.0, 4.0, 0.0, 2.0]]]), k=2, side=2)
        >>> centres, values
        (tensor([[1, 4]]), tensor([[5., 2.]]))
    """
    if k < 1 or side < 1:
        raise ConfigError(f"top-k patches need k and side of at least 1, got k={k} and side={side}")
    number, height, width = maps.shape
    rows, columns = torch.arange(height, device=maps.device), torch.arange(width, device=maps.device)
    order = torch.rand(height * width, generator=torch.Generator().manual_seed(_TIE_SEED)).to(maps.device)
    tolerance = rounding_error(maps.flatten(1))
    left = maps.flatten(1).clone()
    centres, values = [], []
    for _ in range(k):
        peak = left.amax(dim=1, keepdim=True)
        centre = torch.where(left >= peak - tolerance, order, -1.0).argmax(dim=1, keepdim=True)
        centres.append(centre)
        values.append(left.gather(1, centre))
        overlaps_row = (rows - centre // width).abs() < side
        overlaps_column = (columns - centre % width).abs() < side
        overlaps = overlaps_row[:, :, None] & overlaps_column[:, None, :]
        left.masked_fill_(overlaps.reshape(number, -1), -torch.inf)
    return torch.cat(centres, dim=1), torch.cat(values, dim=1)


def annotated_patches(masks: Tensor, side: int) -> Tensor:
    """Say for every pixel whether the patch centred on it holds an annotated pixel.

    Args:
        masks: Annotations ``(N, H, W)``, bool.
        side: Side of the patch in pixels; at the border the patch is cut. One of even side reaches one pixel
            further up and left than down and right.

    Returns:
        ``(N, H, W)``, bool.

    Example:
        >>> annotated_patches(torch.tensor([[[False, False, False, True]]]), side=3)
        tensor([[[False, False,  True,  True]]])
    """
    height, width = masks.shape[-2:]
    sums = torch.nn.functional.pad(masks.long().cumsum(dim=1).cumsum(dim=2), (1, 0, 1, 0))
    top = torch.arange(height, device=masks.device) - side // 2
    left = torch.arange(width, device=masks.device) - side // 2
    by_row = sums[:, (top + side).clamp(max=height)] - sums[:, top.clamp(min=0)]
    return (by_row[:, :, (left + side).clamp(max=width)] - by_row[:, :, left.clamp(min=0)]) > 0


def topk_precision(maps: Tensor, masks: Tensor, k: int = 30, side: int = 33) -> Tensor:
    """Share of the first 1, 2, ..., k patches that hold annotated pixels.

    Patches are placed by :func:`peak_patches`, on positive evidence only: where a map is not positive it
    claims nothing. A map that holds fewer than k patches is judged by those it has. As in `Djoumessi & Berens
    <https://arxiv.org/abs/2505.17748>`_, whose patches are 33 px on images of 512 px.

    Args:
        maps: Scored maps ``(N, H, W)``.
        masks: Annotations ``(N, H, W)``, bool.
        k: Number of patches.
        side: Side of a patch in pixels.

    Returns:
        ``(N, k)`` in [0, 1]; column j is the precision of the first j + 1 patches; 0 for a map without positive
        evidence, NaN for an empty mask.

    Raises:
        DataError: If the shapes differ, the masks are not bool, or a map is not finite.
        ConfigError: If ``k`` or ``side`` is below 1.

    Example:
        >>> maps = torch.tensor([[[1.0, 5.0, 4.0, 0.0, 2.0]]])
        >>> masks = torch.tensor([[[False, True, False, False, False]]])
        >>> topk_precision(maps, masks, k=3, side=1)
        tensor([[1.0000, 0.5000, 0.3333]])
    """
    maps, masks = checked_pair(maps, masks)
    centres, values = peak_patches(maps, k, side)
    placed = values > 0
    hits = annotated_patches(masks, side).flatten(1).gather(1, centres) & placed
    return annotated_only(hits.cumsum(dim=1) / placed.cumsum(dim=1).clamp(min=1), masks)


def topk_chance(masks: Tensor, side: int = 33) -> Tensor:
    """Return the precision that patches at random places have: the share of places where one holds annotated pixels.

    Args:
        masks: Annotations ``(N, H, W)``, bool.
        side: Side of a patch in pixels.

    Returns:
        ``(N,)``, NaN for an empty mask.

    Example:
        >>> topk_chance(torch.tensor([[[False, False, False, True]]]), side=3)
        tensor([0.5000])
    """
    return annotated_only(annotated_patches(masks, side).float().mean(dim=(1, 2)), masks)


class TopKPrecision(ImageMean):
    """Mean :func:`topk_precision` over the annotated images, ``(k,)``.

    Args:
        k: Number of patches.
        side: Side of a patch in pixels.
        **settings: Settings of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = TopKPrecision(k=2, side=1)
        >>> metric.update(torch.tensor([[[1.0, 5.0, 4.0]]]), torch.tensor([[[False, True, False]]]))
        >>> metric.compute()
        tensor([1.0000, 0.5000])
    """

    def __init__(self, k: int = 30, side: int = 33, **settings: Any) -> None:
        self.k, self.side = k, side
        super().__init__(**settings)

    def _score_shape(self) -> tuple[int, ...]:
        return (self.k,)

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return topk_precision(maps, truth, self.k, self.side)
