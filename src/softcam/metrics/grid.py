"""The image cut into patches, and the order in which a map would take them.

Top-k precision places its patches on the map's peaks (:mod:`softcam.metrics.patches`). Deletion and insertion cut
the image into an even grid instead: every method then takes its patches from the same set, none overlaps another,
together they are the image, and a patch is judged by all of the map that goes with it. On peaks, a method would be
judged by the height of single pixels, could leave gaps that nothing ever fills, and would remove other parts of the
image than the next method does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softcam.errors import ConfigError
from softcam.metrics.validation import rounding_error

_TIE_SEED = 0
_PUBLISHED_SIDE, _PUBLISHED_SIZE = 33, 512


def patch_side(size: tuple[int, int]) -> int:
    """Return the published patch, 33 px at 512 px (Djoumessi & Berens 2026), scaled to an image's shorter side.

    Args:
        size: Height and width of the image in pixels.

    Example:
        >>> patch_side((512, 512)), patch_side((128, 160)), patch_side((5, 5))
        (33, 8, 1)
    """
    return max(1, round(_PUBLISHED_SIDE * min(size) / _PUBLISHED_SIZE))


def patch_ranks(maps: Tensor, patch: int) -> tuple[Tensor, int]:
    """Cut images into patches and say for each pixel when its patch's turn comes, by the map's mean in it.

    The sides of the image are divided evenly, into patches as near to ``patch`` as that allows: their sides differ
    by a pixel at most, and none is a remnant at the border.

    Patches whose scores differ by rounding only are equal. They come in a random order that is the same for every
    image and every call, so that a flat map gives the same numbers again and has no favourite corner.

    Args:
        maps: ``(N, H, W)``, finite, of any sign.
        patch: Side of a patch in pixels.

    Returns:
        The rank of each pixel's patch, int64 ``(N, H, W)``, 0 for the highest score; and the number of patches.

    Raises:
        ConfigError: ``patch`` is below 1.

    Example:
        >>> patch_ranks(torch.tensor([[[0.0, 1.0, 5.0, 5.0, -1.0, 2.0]]]), patch=2)
        (tensor([[[2, 2, 0, 0, 1, 1]]]), 3)
    """
    if patch < 1:
        raise ConfigError(f"a patch needs a side of at least 1 px, got {patch}")
    row_of, column_of = (_divide(length, patch).to(maps.device) for length in maps.shape[1:])
    scores = _mean_within(row_of) @ maps.double() @ _mean_within(column_of).T
    ranks = _ranks(scores.flatten(1), maps.flatten(1))
    columns = scores.shape[2]
    return ranks[:, row_of[:, None] * columns + column_of], ranks.shape[1]


def _divide(length: int, patch: int) -> Tensor:
    """Say for each of ``length`` pixels in a row in which part it lies."""
    parts = max(1, math.floor(length / patch + 0.5))
    return torch.arange(length) * parts // length


def _mean_within(part_of: Tensor) -> Tensor:
    """Return the matrix that averages pixels within their part, ``(parts, length)``."""
    within = torch.nn.functional.one_hot(part_of).T.double()
    return within / within.sum(dim=1, keepdim=True)


def _ranks(scores: Tensor, flat: Tensor) -> Tensor:
    """Rank scores (N, P) from the highest down; those within the rounding of the maps ``flat`` (N, H·W) are equal."""
    steps = (scores / rounding_error(flat).double().clamp(min=torch.finfo(flat.dtype).tiny)).round()
    shuffled = torch.randperm(scores.shape[1], generator=torch.Generator().manual_seed(_TIE_SEED)).to(scores.device)
    order = shuffled[steps[:, shuffled].argsort(dim=1, descending=True, stable=True)]
    return order.argsort(dim=1)
