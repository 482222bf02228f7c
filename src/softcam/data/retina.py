"""Fundus photographs brought to one form: cut to the retina, scaled, lighting evened out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from softcam.data.images import read_image
from softcam.errors import ConfigError, DataError
from softcam.files import atomic_path

logger = logging.getLogger(__name__)

_SEARCH_SIZE = 512  # px; the circle is looked for in a copy of at most this size
_DARK = 0.12  # of the bright parts of the image: below it lies the black surround
_NOISE = 0.02  # what a compressed black surround can reach
_BLUR = 1 / 30  # of the radius: standard deviation of the local average (Graham 2015)
_GAIN = 4.0  # by which the difference from the local average is raised (Graham 2015)
_MID = 0.5


@dataclass(frozen=True)
class Circle:
    """The outline of the retina in px: centre from the left, from the top, and radius."""

    x: float
    y: float
    radius: float

    def scaled(self, factor: float) -> Circle:
        """The same circle in an image scaled by a factor."""
        return Circle(self.x * factor, self.y * factor, self.radius * factor)


def retina_mask(pixels: Tensor) -> npt.NDArray[np.bool_]:
    """Tell the retina from the black surround.

    Args:
        pixels: Image (C, H, W) in [0, 1].

    Returns:
        Mask (H, W), true on the largest connected bright region with its holes filled; all true where
        nothing is brighter than the surround's noise.
    """
    brightness = pixels.amax(0).numpy()
    bright = brightness > max(_NOISE, _DARK * float(np.quantile(brightness, 0.95)))
    regions, count = ndimage.label(ndimage.binary_opening(bright, iterations=2))
    if count == 0:
        return np.ones_like(bright)
    largest = 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(regions == largest))


def retina_circle(pixels: Tensor) -> Circle:
    """Find the circle that bounds the retina, also where the photograph cuts it off.

    A circle is fitted by least squares (Kåsa 1976) to the rim, with what the image border cuts off and what
    lies off the circle (notches, reflections) left out. Where no rim is seen the circle is the one around
    the image.

    Args:
        pixels: Image (C, H, W) in [0, 1].

    Returns:
        The circle.
    """
    factor = min(1.0, _SEARCH_SIZE / max(pixels.shape[1:]))
    small = pixels if factor == 1 else _resize(pixels, factor)
    mask = retina_mask(small)
    height, width = mask.shape
    x, y = _rim(mask)
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    circle = _fit_circle(x[inside], y[inside])
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    if circle is None or not 0.4 * extent <= circle.radius <= 0.75 * extent:
        centre_x, centre_y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
        circle = Circle(float(centre_x), float(centre_y), float(extent) / 2)
    return circle.scaled(1 / factor)


def crop_to_circle(pixels: Tensor, circle: Circle) -> Tensor:
    """Cut the square around a circle, black where it reaches beyond the image.

    Args:
        pixels: Image (C, H, W).
        circle: The circle.

    Returns:
        Image (C, S, S), S being the diameter in whole pixels.
    """
    side = max(1, round(2 * circle.radius))
    left, top = round(circle.x - side / 2), round(circle.y - side / 2)
    height, width = pixels.shape[1:]
    return F.pad(pixels, (-left, left + side - width, -top, top + side - height))


def subtract_local_average(pixels: Tensor, radius: float) -> Tensor:
    """Even out lighting and colour: raise the difference of every pixel from its surroundings.

    ``0.5 + 4 · (x − G(x))`` with a Gaussian ``G`` of radius / 30, after B. Graham's solution of the Kaggle
    challenge (2015). Here the average is taken over the retina alone, so that its rim does not light up and
    need not be cut off. The surround becomes mid-grey.

    Args:
        pixels: Image (C, H, W) in [0, 1].
        radius: Radius of the retina in px.

    Returns:
        Image (C, H, W) in [0, 1].
    """
    mask = retina_mask(pixels)
    sigma = radius * _BLUR
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    image = pixels.numpy() * mask
    average = ndimage.gaussian_filter(image, (0, sigma, sigma)) / np.maximum(weight, 1e-6)
    evened = np.where(mask, _MID + _GAIN * (image - average), _MID)
    return torch.from_numpy(evened.clip(0, 1).astype(np.float32))


@dataclass(frozen=True)
class RetinaProcessing:
    """What to do with a fundus photograph.

    Attributes:
        size: Longer side of the result in px.
        crop: Cut to the square around the retina.
        contrast: Subtract the local average.
    """

    size: int = 512
    crop: bool = True
    contrast: bool = False

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ConfigError(f"A size of {self.size} px is too small for a fundus photograph; try 512.")

    def __call__(self, pixels: Tensor) -> Tensor:
        """Process an image.

        Args:
            pixels: Image (C, H, W) in [0, 1].

        Returns:
            Image (C, h, w) in [0, 1], its longer side ``size``.
        """
        circle = retina_circle(pixels)
        if self.crop:
            pixels = crop_to_circle(pixels, circle)
        factor = self.size / max(pixels.shape[1:])
        pixels = _resize(pixels, factor)
        return subtract_local_average(pixels, circle.radius * factor) if self.contrast else pixels


def process_images(
    paths: Sequence[Path], folder: Path, processing: RetinaProcessing, workers: int | None = None
) -> dict[Path, Path]:
    """Write processed copies of many images as PNG.

    Args:
        paths: The images, each with a name of its own.
        folder: Where to write the copies.
        processing: What to do.
        workers: Threads; None for as many as there are processors.

    Returns:
        Image to copy. An image that cannot be read is logged and has none.
    """

    def process(path: Path) -> Path | None:
        try:
            pixels = processing(read_image(path).pixels)
        except DataError as error:
            logger.warning("left out: %s", error)
            return None
        copy = folder / f"{path.stem}.png"
        _write_png(pixels, copy)
        return copy

    with ThreadPoolExecutor(workers) as pool:
        copies = tqdm(pool.map(process, paths), "processing", len(paths), unit="image", disable=None)
        return {path: copy for path, copy in zip(paths, copies, strict=True) if copy is not None}


def _write_png(pixels: Tensor, path: Path) -> None:
    array = (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    with atomic_path(path) as temporary:
        Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(temporary)


def _resize(pixels: Tensor, factor: float) -> Tensor:
    height, width = (max(1, round(side * factor)) for side in pixels.shape[1:])
    scaled = F.interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)[0]
    return scaled.clamp(0, 1)


def _rim(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First and last pixel of every row and of every column, as x and y."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    height, width = mask.shape
    x = [mask.argmax(1)[rows], width - 1 - mask[:, ::-1].argmax(1)[rows], columns, columns]
    y = [rows, rows, mask.argmax(0)[columns], height - 1 - mask[::-1].argmax(0)[columns]]
    return np.concatenate(x), np.concatenate(y)


def _fit_circle(x: npt.NDArray[np.intp], y: npt.NDArray[np.intp], rounds: int = 6) -> Circle | None:
    """Least squares, repeated without the points that lie off the circle; None for too few points."""
    px, py = x.astype(np.float64) + 0.5, y.astype(np.float64) + 0.5
    circle = None
    for _ in range(rounds):
        if len(px) < 32:
            return None
        design = np.stack([2 * px, 2 * py, np.ones_like(px)], axis=1)
        (cx, cy, constant), *_ = np.linalg.lstsq(design, px**2 + py**2, rcond=None)
        circle = Circle(float(cx), float(cy), float(np.sqrt(max(constant + cx**2 + cy**2, 0))))
        distance = np.abs(np.hypot(px - circle.x, py - circle.y) - circle.radius)
        near = distance <= max(1.0, 2.5 * float(np.median(distance)))
        px, py = px[near], py[near]
    return circle
