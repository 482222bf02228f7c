"""Trivial properties of image files: what could give a label away without looking at the finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F
from tqdm import tqdm

from softcam.data.images import DecodedImage, match_channels, read_image
from softcam.evaluation.audit.regions import CORNERS, border_mask, corner_mask

Grey: TypeAlias = NDArray[np.float32]
"""A picture ``(h, w)`` in [0, 1]."""

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "DICOM")
_VIEW = 256  # px: longer side of the copy on which pictures are measured, so that their size plays no part
_FINE = 0.8  # px of that copy: detail finer than this is sharpness or grain
_MARGIN_WIDTH = 0.12  # of the shorter side
_FEWEST = 50  # pixels that grain is measured on
_BLACK, _WHITE = 0.05, 0.97  # brightness up to which, and from which on, a pixel tells nothing of grain
_STROKE = 9  # px of that copy: what is bright and narrower than this is a mark
_INK = 0.98  # quantile of a corner that a mark in it reaches


class Kind(StrEnum):
    """What a property is a property of.

    ``recording`` is how the image was made and stored, and ``margin`` what its outer part looks like, where
    findings are not: a disease changes neither. ``picture`` is what the disease may change as well, the size of
    the file among it, since what has less detail compresses better.
    """

    RECORDING = "recording"
    MARGIN = "margin"
    PICTURE = "picture"


@dataclass(frozen=True)
class Property:
    """Something that one number says about an image.

    Attributes:
        title: What the number is.
        kind: What it is a property of.
    """

    title: str
    kind: Kind


def _view(image: DecodedImage) -> Grey:
    pixels = match_channels(image.pixels, 1)
    height, width = pixels.shape[-2:]
    factor = _VIEW / max(height, width)
    size = (max(8, round(height * factor)), max(8, round(width * factor)))
    return np.asarray(F.interpolate(pixels[None], size, mode="bilinear", antialias=True)[0, 0].numpy())


def _area(image: DecodedImage) -> int:
    return math.prod(image.pixels.shape[-2:])


def _jpeg_step(decoded: DecodedImage) -> float:
    """Mean quantisation step of the brightness: the larger, the stronger the compression; 0 for other formats."""
    if decoded.format != "JPEG":
        return 0.0
    with Image.open(decoded.path) as image:
        tables: dict[int, list[int]] = getattr(image, "quantization", {})
    return float(np.mean(tables[0])) if 0 in tables else 0.0


def _sharpness(grey: Grey) -> float:
    """Mean fine detail as a share of contrast."""
    detail = np.abs(grey - ndimage.gaussian_filter(grey, _FINE)).mean()
    return float(detail / max(float(grey.std()), 1e-6))


def _grain(grey: Grey) -> float:
    """Fine detail of the margin, in the median of what is neither black nor white there: noise and processing."""
    seen = border_mask(*grey.shape, share=_MARGIN_WIDTH) & (grey > _BLACK) & (grey < _WHITE)
    if seen.sum() < _FEWEST:
        return 0.0
    return float(np.median(np.abs(grey - ndimage.gaussian_filter(grey, _FINE))[seen]))


def _marker(corner: str, grey: Grey) -> float:
    """How far the strongest fine bright detail of a corner, such as a letter, stands out of what is around it."""
    detail = grey - ndimage.grey_opening(grey, _STROKE)
    return float(np.quantile(detail[corner_mask(corner, *grey.shape)], _INK))


_RECORDING: dict[str, tuple[str, Callable[[DecodedImage], float]]] = {
    "pixels": ("number of pixels", lambda image: float(_area(image))),
    "aspect_ratio": ("aspect ratio", lambda image: image.pixels.shape[-1] / image.pixels.shape[-2]),
    "bit_depth": ("bits per sample", lambda image: float(image.bit_depth)),
    "channels": ("colour channels", lambda image: float(len(image.pixels))),
    "format": ("file format", lambda image: float(_FORMATS.index(image.format)) if image.format in _FORMATS else -1.0),
    "compression": ("strength of the JPEG compression", lambda image: _jpeg_step(image)),
}
_MARGIN: dict[str, tuple[str, Callable[[Grey], float]]] = {
    "border": ("brightness of the border", lambda grey: float(grey[border_mask(*grey.shape)].mean())),
    "grain": ("grain of the margin", lambda grey: _grain(grey)),
    **{
        f"marker_{name.replace(' ', '_')}": (f"bright marks in the {name} corner", partial(_marker, name))
        for name in CORNERS
    },
}
_PICTURE: dict[str, tuple[str, Callable[[DecodedImage, Grey], float]]] = {
    "file_size": ("file size", lambda image, _: float(image.path.stat().st_size)),
    "brightness": ("mean brightness", lambda _, grey: float(grey.mean())),
    "contrast": ("contrast", lambda _, grey: float(grey.std())),
    "sharpness": ("sharpness", lambda _, grey: _sharpness(grey)),
    "black": ("share of black", lambda _, grey: float((grey <= _BLACK).mean())),
}

PROPERTIES: dict[str, Property] = {
    name: Property(title, kind)
    for kind, group in ((Kind.RECORDING, _RECORDING), (Kind.MARGIN, _MARGIN), (Kind.PICTURE, _PICTURE))
    for name, (title, _) in group.items()
}
"""All properties by name."""


def measure_properties(
    paths: Sequence[Path], *, workers: int = 0, progress: bool = True
) -> dict[str, NDArray[np.float64]]:
    """Measure the properties of images.

    Args:
        paths: N image files.
        workers: Threads that read them; 0 reads them one after the other.
        progress: Whether to show a bar, on a terminal.

    Returns:
        Name of `PROPERTIES` to numbers ``(N,)``.

    Raises:
        DataError: An image cannot be read.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        bar = tqdm(pool.map(_measure, paths), "files", len(paths), unit="image", disable=None if progress else True)
        rows = list(bar)
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in PROPERTIES}


def _measure(path: Path) -> dict[str, float]:
    image = read_image(path)
    grey = _view(image)
    return {
        **{name: measure(image) for name, (_, measure) in _RECORDING.items()},
        **{name: measure(grey) for name, (_, measure) in _MARGIN.items()},
        **{name: measure(image, grey) for name, (_, measure) in _PICTURE.items()},
    }
