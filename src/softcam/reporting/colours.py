"""From evidence in logits to colours: one fixed, symmetric scale, so that colours of two images compare."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from softcam.errors import ConfigError

OPACITY = 0.8
"""Opacity of evidence at the limit; what lies below still shows."""

_STEPS = 255  # colours on either side of zero
_RISE = 0.8  # power by which opacity grows; a little below 1, so that half the limit is seen at a glance
_PALEST, _STRONGEST = 0.22, 0.42
"""Places in matplotlib's RdBu, counted from its middle. Nearer to it the colours are white and would veil the image
without a word on the sign; farther out they are so dark that they sink into a radiograph."""


def check_limit(limit: float) -> None:
    """Check that a scale can be drawn.

    Raises:
        ConfigError: The limit is not a number above 0.
    """
    if not (math.isfinite(limit) and limit > 0):
        raise ConfigError(f"limit is {limit}; it must be a number of logits above 0")


def colour(maps: NDArray[np.floating], limit: float) -> NDArray[np.uint8]:
    """Colour evidence: red for the class, blue against it, transparent where there is none.

    The colours are matplotlib's ``RdBu``, which readers with any colour vision can tell apart. Opacity grows with
    the evidence, from 0 to `OPACITY`. The scale is symmetric around 0 and does not depend on the
    maps, so that the same evidence has the same colour in every image.

    Args:
        maps: Evidence in logits, of any shape ``(...)``.
        limit: Evidence that has the strongest colour, as has all beyond it.

    Returns:
        Red, green, blue and opacity ``(..., 4)``, 0 to 255.

    Raises:
        ConfigError: The limit is not a number above 0.
    """
    check_limit(limit)
    scaled = np.clip(np.asarray(maps, dtype=np.float32) / np.float32(limit), -1, 1)
    index = np.rint(scaled * _STEPS).astype(np.int16) + np.int16(_STEPS)
    coloured: NDArray[np.uint8] = _lookup_table().take(index, axis=0)
    return coloured


@cache
def _lookup_table() -> NDArray[np.uint8]:
    from matplotlib import colormaps

    strength = np.linspace(-1, 1, 2 * _STEPS + 1)
    from_middle = np.sign(strength) * (_PALEST + (_STRONGEST - _PALEST) * np.abs(strength))
    colours = colormaps["RdBu_r"](0.5 + from_middle)
    colours[:, 3] = OPACITY * np.abs(strength) ** _RISE
    table: NDArray[np.uint8] = np.rint(colours * 255).astype(np.uint8)
    return table
