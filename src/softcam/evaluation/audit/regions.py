"""Parts of an image in which evidence may lie: corners, border, and what is outside the region of interest."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from softcam.data.lungs import find_lungs
from softcam.data.retina import retina_mask
from softcam.errors import DataError

Mask = NDArray[np.bool_]

CORNERS = ("upper left", "upper right", "lower left", "lower right")
BORDER, OUTSIDE = "border", "outside"

_CORNER = 0.2  # of either side: the square of a corner
_WHOLE = 0.97  # share of the image from which on a retina without a surround is none
BORDER_WIDTH = 0.05  # of the shorter side


class Roi(StrEnum):
    """How the region of interest is found.

    ``auto`` is the retina of colour photographs with a dark surround and the lungs of grey images in which
    lungs are found; ``mask`` is what is annotated, in the images that have annotations.
    """

    AUTO = "auto"
    MASK = "mask"
    LUNG = "lung"
    RETINA = "retina"
    NONE = "none"


def corner_mask(corner: str, height: int, width: int) -> Mask:
    """The square of a corner, bool ``(height, width)``; ``corner`` is one of `CORNERS`."""
    vertical, horizontal = corner.split()
    rows, columns = max(1, round(_CORNER * height)), max(1, round(_CORNER * width))
    mask = np.zeros((height, width), dtype=bool)
    mask[slice(rows) if vertical == "upper" else slice(height - rows, None)] = True
    mask[:, slice(columns, None) if horizontal == "left" else slice(width - columns)] = False
    return mask


def border_mask(height: int, width: int, *, share: float = BORDER_WIDTH) -> Mask:
    """The frame along the edge of an image, bool ``(height, width)``, a share of the shorter side wide."""
    wide = max(1, round(share * min(height, width)))
    mask = np.ones((height, width), dtype=bool)
    mask[wide : height - wide, wide : width - wide] = False
    return mask


def find_roi(pixels: Tensor, roi: Roi) -> Mask | None:
    """Find the lungs or the retina of an image.

    Args:
        pixels: ``(C, H, W)`` in [0, 1].
        roi: ``lung``, ``retina``, or ``auto`` for whichever it is.

    Returns:
        Bool ``(H, W)``; None where there is none.
    """
    if roi is Roi.RETINA or (roi is Roi.AUTO and _is_colour(pixels)):
        mask = retina_mask(pixels)
        return None if mask.mean() > _WHOLE else mask
    if roi in (Roi.LUNG, Roi.AUTO):
        try:
            return find_lungs(pixels).mask
        except DataError:
            return None
    return None


def _is_colour(pixels: Tensor) -> bool:
    return len(pixels) == 3 and float((pixels[0] - pixels[2]).abs().mean()) > 0.02
