"""The planted shortcut: a small marker in a corner that goes with the label."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from softcam.data.phantoms.canvas import Array, Rng
from softcam.data.phantoms.options import PhantomKind, PhantomOptions

_COLOURS = {
    PhantomKind.FUNDUS: (0.95, 0.85, 0.30),
    PhantomKind.CHEST: (0.97,),
    PhantomKind.OCT: (0.85,),
}
_TEXTS = {PhantomKind.FUNDUS: "12", PhantomKind.CHEST: "L", PhantomKind.OCT: "OD"}
_HEIGHTS = {PhantomKind.FUNDUS: 0.055, PhantomKind.CHEST: 0.085, PhantomKind.OCT: 0.06}


def has_marker(shortcut: float, label: int, rng: Rng) -> bool:
    """Whether an image of this label carries the marker, see `PhantomOptions.shortcut`."""
    drawn = rng.uniform()
    return bool(drawn < (shortcut if label else -shortcut))


def draw_marker(image: Array, options: PhantomOptions, label: int, rng: Rng) -> tuple[Array, NDArray[np.bool_]]:
    """Draw the marker where chance and label ask for it.

    Args:
        image: The clean image, ``(C, size, size)``; not changed.
        options: Kind of image and strength of the shortcut.
        label: 0 or 1.
        rng: Decides on the marker and its exact place.

    Returns:
        The image with or without the marker, and its pixels, ``(size, size)`` bool.
    """
    present = has_marker(options.shortcut, label, rng)
    shift = rng.uniform(0, 0.02, 2)
    coverage = np.zeros(image.shape[1:], dtype=np.float32)
    if not present:
        return image, coverage > 0
    glyphs = _glyphs(_TEXTS[options.kind], max(7, round(_HEIGHTS[options.kind] * options.size)))
    top, left = np.rint((0.02 + shift) * options.size).astype(int)
    height, width = glyphs.shape
    if options.kind is not PhantomKind.OCT:
        left = options.size - width - left
    coverage[top : top + height, left : left + width] = glyphs
    colour = np.array(_COLOURS[options.kind], dtype=np.float32)[:, None, None]
    return image + (colour - image) * coverage, coverage > 0


@lru_cache(maxsize=16)
def _glyphs(text: str, height: int) -> Array:
    """The text's ink, between 0 and 1, cut to its box; about ``height`` pixels tall."""
    font = ImageFont.load_default(size=height * 1.35)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    picture = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font)
    ink = np.asarray(picture, dtype=np.float32) / 255
    ink.flags.writeable = False
    return ink
