"""Evidence over its image: red speaks for the class, blue against it, on one scale for all images.

A map is never stretched to its own extremes: a healthy image would light up like a sick one. Everything here works on
NumPy arrays and Pillow, which draw an image in a few milliseconds.
"""

from __future__ import annotations

import zlib
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from softcam.errors import DataError
from softcam.files import atomic_path
from softcam.reporting.colours import colour

Picture = NDArray[np.uint8]
"""An image to look at, ``(H, W, 3)``, 0 to 255."""

SHORTEST_SIDE, LONGEST_SIDE = 256, 1024
"""Pixels: the longer side of a picture is brought into this range."""

_COMPRESSION = {"compress_level": 1, "compress_type": zlib.Z_RLE}  # more costs time and saves little
_BLACK, _INK, _WHITE, _MIDDLE_GREY = (0, 0, 0), (30, 30, 30), (255, 255, 255), (128, 128, 128)
_TICKS = (1.0, 0.5, 0.0, -0.5, -1.0)


def to_picture(pixels: NDArray[np.floating]) -> Picture:
    """Turn a decoded image into what can be looked at and drawn on.

    Args:
        pixels: ``(C, H, W)`` in [0, 1] with one channel or three.

    Returns:
        ``(h, w, 3)``, of the same size if its longer side has `SHORTEST_SIDE` to `LONGEST_SIDE` pixels, and brought
        there otherwise.
    """
    whole = (np.clip(pixels, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    image = Image.fromarray(whole[0] if len(whole) == 1 else np.ascontiguousarray(whole.transpose(1, 2, 0)))
    longest = max(image.size)
    factor = min(max(longest, SHORTEST_SIDE), LONGEST_SIDE) / longest
    if factor != 1:
        width, height = (max(1, round(side * factor)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR)
    return np.asarray(image.convert("RGB"))


def grey(image: Picture) -> Picture:
    """Take the colour out of a picture ``(H, W, 3)``, so that all colour laid over it is evidence."""
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


def blend(image: Picture, evidence: NDArray[np.floating], limit: float) -> Picture:
    """Lay an evidence map over its image.

    Args:
        image: ``(H, W, 3)``, 0 to 255.
        evidence: One map ``(h, w)`` in logits; brought to the size of the image (bilinear).
        limit: Evidence in logits that has the strongest colour.

    Returns:
        ``(H, W, 3)``. Where there is no evidence, the pixels are those of the image.

    Raises:
        ConfigError: The limit is not a number above 0.
    """
    height, width = image.shape[:2]
    cells = Image.fromarray(np.ascontiguousarray(evidence, dtype=np.float32))
    fine = cells.resize((width, height), Image.Resampling.BILINEAR)
    return _lay_over(Image.fromarray(image), colour(np.asarray(fine), limit))


def outline(image: Picture, mask: NDArray[np.bool_], width: int = 1) -> Picture:
    """Draw a line around what a mask marks: white, edged with black, outside of it, so that nothing is hidden.

    Args:
        image: ``(H, W, 3)``, 0 to 255.
        mask: ``(H, W)``, for example of lesions.
        width: Of the white line, in pixels.

    Returns:
        A copy ``(H, W, 3)`` with the line.

    Raises:
        DataError: The mask has another size than the image.
    """
    if mask.shape != image.shape[:2]:
        raise DataError(f"the mask has the size {mask.shape}, its image {image.shape[:2]}; resize the mask")
    inside = Image.fromarray(mask.astype(np.uint8))
    gap, line, edge = (np.asarray(_grown(inside, radius)) > 0 for radius in (1, 1 + width, 2 + width))
    result = image.copy()
    result[edge & ~line] = _BLACK
    result[line & ~gap] = _WHITE
    return result


def panel(image: Picture, evidence: NDArray[np.floating], limit: float, title: str = "", subtitle: str = "") -> Picture:
    """Draw an image, beside it the evidence over its grey copy and a colour bar in logits, and a caption above.

    Args:
        image: ``(H, W, 3)``, 0 to 255.
        evidence: One map ``(h, w)`` in logits.
        limit: Evidence in logits that has the strongest colour.
        title: First line of the caption, for example the class and its probability.
        subtitle: Second line, for example what the evidence adds up to.

    Returns:
        ``(h', w', 3)``, larger than two of the image.

    Raises:
        ConfigError: The limit is not a number above 0.
    """
    shown = blend(grey(image), evidence, limit)
    height, width = shown.shape[:2]
    size = _text_size(height, width)
    bar = colour_bar(limit, max(height, 10 * size), size)
    lines = [line for line in (title, subtitle) if line]
    top = round(size * (0.6 + 1.4 * len(lines))) if lines else 0
    caption_width = max((round(_font(size).getlength(line)) + size for line in lines), default=0)
    gap = size // 2
    page = Image.new("RGB", (max(2 * width + gap + bar.shape[1], caption_width), top + bar.shape[0]), _WHITE)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((gap, round(size * (0.4 + 1.4 * number))), line, fill=_INK, font=_font(size))
    for left, part in ((0, image), (width + gap, shown), (2 * width + gap, bar)):
        page.paste(Image.fromarray(part), (left, top))
    return np.asarray(page)


@lru_cache(maxsize=16)
def colour_bar(limit: float, height: int, text_size: int = 14) -> Picture:
    """Draw the scale of `softcam.reporting.colours.colour`, over a middle grey, with its ticks in logits.

    Args:
        limit: Evidence in logits that has the strongest colour.
        height: In pixels.
        text_size: Height of the text in pixels.

    Returns:
        ``(height, w, 3)``, read-only: the next call with the same arguments returns the same array.

    Raises:
        ConfigError: The limit is not a number above 0.
    """
    font, margin, thick = _font(text_size), text_size // 2, text_size
    labels = [_tick(share, limit) for share in _TICKS]
    text_left = round(2.5 * margin) + thick
    page = Image.new("RGB", (text_left + margin + round(max(map(font.getlength, labels))), height), _WHITE)
    draw = ImageDraw.Draw(page)
    draw.text((margin, 0), "logits", fill=_INK, font=font)
    top, bottom = round(1.9 * text_size), height - text_size
    values = np.linspace(limit, -limit, bottom - top)[:, None].repeat(thick, axis=1)
    background = Image.new("RGB", (thick, bottom - top), _MIDDLE_GREY)
    page.paste(Image.fromarray(_lay_over(background, colour(values, limit))), (margin, top))
    for share, label in zip(_TICKS, labels, strict=True):
        y = top + (1 - share) / 2 * (bottom - top - 1)
        draw.line((margin + thick, y, margin + thick + 3, y), fill=_INK)
        draw.text((text_left, y), label, fill=_INK, font=font, anchor="lm")
    bar = np.array(page)
    bar.setflags(write=False)
    return bar


def to_png(image: Picture, path: str | Path) -> None:
    """Write a picture ``(H, W, 3)``, 0 to 255, as PNG; complete or not at all.

    Args:
        image: The picture.
        path: The file to write.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", **_COMPRESSION)


def signed(value: float, digits: int = 2) -> str:
    """Write a number with its sign, as in print: ``+1.50``, ``−0.25``, ``0.00``."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def _lay_over(below: Image.Image, layer: NDArray[np.uint8]) -> Picture:
    colours = Image.fromarray(layer)
    below = below.copy()
    below.paste(colours, mask=colours)
    return np.asarray(below)


def _grown(mask: Image.Image, radius: int) -> Image.Image:
    return mask.filter(ImageFilter.MaxFilter(2 * radius + 1))


def _tick(share: float, limit: float) -> str:
    beyond = {1.0: "≥ ", -1.0: "≤ "}.get(share, "")
    return beyond + f"{share * limit:+.3g}".replace("-", "−") if share else "0"


def _text_size(height: int, width: int) -> int:
    return min(20, max(11, round(max(height, width) / 36)))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path  # brings a font with the signs and letters of most languages

    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
