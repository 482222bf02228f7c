"""Where the lungs are in a frontal chest radiograph, found from the image alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal
from torch import Tensor
from torch.nn import functional as F

from softcam.data.images import match_channels
from softcam.data.phantoms.canvas import Array
from softcam.data.phantoms.scene import Measures
from softcam.data.phantoms.thorax import Thorax
from softcam.errors import DataError

_SEARCH_SIZE = 96  # px; the lungs are looked for in a copy whose longer side is this
_WIDTHS = (0.64, 0.75, 0.86, 0.98, 1.1)  # of the model's lungs, which span three quarters of a square image
_HEIGHTS = (0.58, 0.7, 0.82, 0.96, 1.1)
_AIR = 0.12  # of the bright parts of the image: what is darker is no patient
_OPEN = 0.25  # what darkness counts, beside the depth of enclosed basins
_STEPS = 8  # of the refinement
_SHAPE = 2.2  # what the model's outline weighs against brightness, per share of the lungs' width
_SMALLEST, _LARGEST = 0.06, 0.6  # share of an image that lungs can cover
_FAINTEST = 0.25  # least contrast of lungs and surroundings, in standard deviations of brightness


@dataclass(frozen=True, eq=False)
class LungField:
    """Where the lungs are.

    Attributes:
        mask: Bool ``(H, W)``.
        contrast: How much darker the lungs are than what surrounds them, in standard deviations of the image.
    """

    mask: npt.NDArray[np.bool_]
    contrast: float


def find_lungs(pixels: Tensor) -> LungField:
    """Find the lungs in a frontal chest radiograph.

    A model of a chest, the mean one of the phantoms, is laid over the image where and in the size in which it
    is darkest inside and brightest around it. Its outline is then moved to where the brightness changes, by a
    local two-region model (Lankton & Tannenbaum 2008) that the shape holds in place.

    Args:
        pixels: Image ``(C, H, W)`` in [0, 1] with dark lungs.

    Returns:
        The lungs, without what heart and diaphragm hide.

    Raises:
        DataError: If nothing in the image looks like a pair of lungs.
    """
    height, width = pixels.shape[-2:]
    factor = _SEARCH_SIZE / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    small = F.interpolate(match_channels(pixels, 1)[None], size, mode="bilinear", antialias=True)[0, 0]
    darkness = _darkness(small.numpy())
    outline = _signed_depth(_laid_over(darkness))
    lungs = _refined(darkness, outline)
    contrast = float(darkness[lungs].mean() - darkness[_around(lungs)].mean()) if lungs.any() else 0.0
    if not _SMALLEST <= lungs.mean() <= _LARGEST or contrast < _FAINTEST:
        raise DataError("no lungs are found; a frontal chest radiograph with dark lungs is needed.")
    return LungField(_scaled(lungs, (height, width)), contrast)


def _darkness(image: Array) -> Array:
    """How dark each place is, in standard deviations of the body; about half for what is open to the border.

    Lungs are basins, walled in by ribs and shoulders, and the air around the patient is not; but lungs can be
    cut off by the border, so that darkness counts by itself, too.
    """
    image = ndimage.gaussian_filter(image, 1.0)
    body = image >= _AIR * np.quantile(image, 0.95)
    if body.sum() < 16 or image[body].std() < 1e-4:
        raise DataError("no lungs are found; the image is empty or all of one brightness.")
    scale = image[body].std()
    dark = np.clip((image[body].mean() - image) / scale, -2, 2) * body
    basin = np.clip((_filled(image) - image) / scale, 0, 2)
    darkness: Array = _OPEN * dark + (1 - _OPEN) * (2 * basin - 1)
    return darkness


def _filled(image: Array) -> Array:
    """The image with its basins filled to the lowest point of their rim (Soille 2003, reconstruction by erosion)."""
    level = np.full_like(image, image.max())
    level[[0, -1]], level[:, [0, -1]] = image[[0, -1]], image[:, [0, -1]]
    while True:
        lower = np.maximum(ndimage.minimum_filter(level, 3), image)
        if np.array_equal(lower, level):
            return level
        level = lower


@lru_cache(maxsize=32)
def _model(height: int, width: int) -> Array:
    """The lungs of the mean chest, ``(height, width)`` soft, cut to their box."""
    lungs = Thorax.draw(Measures(np.random.default_rng(0), 0.0), 192).lungs
    rows, columns = np.nonzero(lungs.max(1) > 0.5)[0], np.nonzero(lungs.max(0) > 0.5)[0]
    cut = lungs[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scaled: Array = ndimage.zoom(
        cut, (height / cut.shape[0], width / cut.shape[1]), order=1, grid_mode=True, mode="nearest"
    )
    scaled.flags.writeable = False
    return scaled


def _laid_over(darkness: Array) -> Array:
    """The model where it fits best, ``(h, w)`` soft."""
    height, width = darkness.shape
    best, chosen = -np.inf, np.zeros_like(darkness)
    for across, down in product(_WIDTHS, _HEIGHTS):
        model = _model(round(0.66 * down * height), round(0.76 * across * width))
        margin = round(0.06 * max(model.shape))
        framed = np.pad(model, margin)
        kernel = framed / framed.sum() - (1 - framed) / (1 - framed).sum()
        padded = np.pad(darkness, margin)
        score = signal.fftconvolve(padded, kernel[::-1, ::-1], mode="valid")
        score = score * np.sqrt(model.size / darkness.size) * _expected(score.shape)
        top, left = np.unravel_index(int(np.argmax(score)), score.shape)
        if score[top, left] > best:
            best = float(score[top, left])
            chosen = np.zeros_like(darkness)
            chosen[top : top + model.shape[0], left : left + model.shape[1]] = model
    return chosen


def _expected(shape: tuple[int, ...]) -> Array:
    """How likely each placement is before looking: near the middle, rather high than low."""
    y, x = np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])[None]
    bell: Array = np.exp(-0.25 * (np.square(x) + np.square(y + 0.2)))
    return bell


def _signed_depth(lungs: Array) -> Array:
    """Distance from the outline, positive inside, as a share of the lungs' width."""
    inside = lungs > 0.5
    depth = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return np.asarray(depth / max(np.ptp(np.nonzero(inside.any(0))[0]) + 1, 1))


def _refined(darkness: Array, outline: Array) -> npt.NDArray[np.bool_]:
    """Move the outline to where the brightness changes, not far from where it was."""
    lungs = outline > 0
    near = max(darkness.shape) / 12
    for _ in range(_STEPS):
        inner = _local_mean(darkness, lungs, near)
        outer = _local_mean(darkness, ~lungs & (outline > -0.2), near)
        middle, step = (inner + outer) / 2, np.maximum(inner - outer, 0.4)
        lungs = ndimage.gaussian_filter((darkness - middle) / step + _SHAPE * 3 * outline, 1.0) > 0
    closed = ndimage.binary_closing(lungs, iterations=3)
    opened = ndimage.binary_opening(ndimage.binary_fill_holes(closed), iterations=2)
    return _two_largest(np.asarray(opened & (outline > -0.12)))


def _local_mean(values: Array, where: npt.NDArray[np.bool_], sigma: float) -> Array:
    weight = ndimage.gaussian_filter(where.astype(np.float64), sigma)
    mean: Array = ndimage.gaussian_filter(values * where, sigma) / np.maximum(weight, 1e-3)
    return mean


def _two_largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    regions, _ = ndimage.label(mask)
    areas = np.bincount(regions.ravel())
    areas[0] = 0
    kept = [region for region in np.argsort(areas)[::-1][:2] if areas[region] > 0.15 * areas.max()]
    return np.isin(regions, kept) & mask


def _around(lungs: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(ndimage.binary_dilation(lungs, iterations=6) & ~lungs)


def _scaled(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    import torch

    soft = torch.from_numpy(mask.astype(np.float32))[None, None]
    return np.asarray(F.interpolate(soft, size, mode="bilinear")[0, 0].numpy() > 0.5)
