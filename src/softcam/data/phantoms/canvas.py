"""Drawing on arrays: smooth noise, vessels and blobs, all in unit coordinates.

A canvas is a square float32 array. Its pixel centres have coordinates in (-1, 1), x to the right and y
down, so that a shape is drawn alike at every size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.sparse import csr_array

Array = NDArray[np.floating[Any]]
Rng = np.random.Generator

_FAINTEST = 0.1  # px; thinner lines leave no trace in 8 bits


@lru_cache(maxsize=16)
def grid(size: int) -> tuple[Array, Array]:
    """Coordinates of the pixel centres.

    Args:
        size: Height and width of the canvas in pixels.

    Returns:
        x of shape ``(1, size)`` and y of shape ``(size, 1)``, read-only.
    """
    centres = ((np.arange(size) + 0.5) * (2 / size) - 1).astype(np.float32)
    centres.flags.writeable = False
    return centres[None, :], centres[:, None]


def to_pixels(points: Array, size: int) -> Array:
    """Unit coordinates to fractional pixel indices (0 is the centre of the first pixel)."""
    return (points + 1) * (size / 2) - 0.5


@lru_cache(maxsize=64)
def _spline_basis(size: int, cells: int) -> csr_array:
    """Cubic B-splines over ``cells`` equal cells, ``(size, cells + 3)``, each row of unit length.

    Sparse, because four of them overlap, and because a small dense product wakes up the threads of the BLAS,
    which costs far more than the product where several processes draw.
    """
    position = (np.arange(size) + 0.5) * cells / size
    distance = np.abs(position[:, None] - (np.arange(cells + 3)[None, :] - 1))
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    basis = np.where(distance < 1, inner, outer)
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    return csr_array(basis.astype(np.float32))


def smooth_noise(rng: Rng, size: int, cells: int | tuple[int, int]) -> Array:
    """Smooth random field with zero mean and unit variance at every pixel.

    The random numbers do not depend on ``size``: one stream gives one field at every size.

    Args:
        rng: Source of the random numbers.
        size: Height and width in pixels.
        cells: How many cells the field has along an axis, or (down, across); a bump is about two wide.

    Returns:
        The field, ``(size, size)``.
    """
    down, across = (cells, cells) if isinstance(cells, int) else cells
    knots = rng.standard_normal((down + 3, across + 3)).astype(np.float32)
    field: Array = (_spline_basis(size, across) @ (_spline_basis(size, down) @ knots).T).T
    return field


def fractal_noise(rng: Rng, size: int, cells: tuple[int, ...], fall: float = 0.6) -> Array:
    """Sum of smooth fields of finer and finer cells, each ``fall`` times weaker; unit variance."""
    weights = fall ** np.arange(len(cells))
    total = sum(weight * smooth_noise(rng, size, count) for weight, count in zip(weights, cells, strict=True))
    return np.asarray(total / np.linalg.norm(weights), dtype=np.float32)


def ramp(distance: Array, width: float) -> Array:
    """Soft step: 0 where ``distance`` is below ``-width / 2``, 1 above ``width / 2``, smooth between."""
    t = distance * np.float32(1 / width)
    t += np.float32(0.5)
    np.clip(t, 0, 1, out=t)
    step = t * np.float32(-2)
    step += np.float32(3)
    step *= t
    step *= t
    return step


def bump(squared: Array) -> Array:
    """Bell ``(1 - s)^2`` of a squared distance: 1 at 0, exactly 0 from 1 on."""
    return np.square(np.clip(1 - squared, 0, None))


def draw_strokes(size: int, points: Array, radii: Array) -> Array:
    """Draw tapering lines, anti-aliased; one thinner than a pixel is drawn paler, not thicker.

    Args:
        size: Height and width of the canvas in pixels.
        points: Vertices of the lines, ``(lines, vertices, 2)``, x and y in unit coordinates.
        radii: Half the width at each vertex, ``(lines, vertices)``, in unit coordinates; 0 draws nothing.

    Returns:
        Coverage between 0 and 1, ``(size, size)``. Where lines cross, the larger coverage.
    """
    xy, r = _dense_dots(to_pixels(points, size), radii * (size / 2))
    reach = np.ceil(r + 0.5).astype(int)
    near = ((xy > -reach[:, None]) & (xy < size - 1 + reach[:, None])).all(axis=1)
    xy, r, reach = xy[near], r[near], reach[near]
    margin = 2 * int(reach.max(initial=0))  # so that lines leave the canvas whole
    canvas = np.zeros((size + 2 * margin, size + 2 * margin), dtype=np.float32)
    for steps in np.unique(reach):
        chosen = reach == steps
        _stamp_dots(canvas, xy[chosen] + margin, r[chosen], int(steps))
    return canvas[margin : size + margin, margin : size + margin]


def draw_bands(size: int, points: Array, radii: Array) -> Array:
    """Draw broad bands with blunt ends, anti-aliased: faster than strokes where a line is many pixels wide.

    Args:
        size: Height and width of the canvas in pixels.
        points: Vertices of the middle lines, ``(bands, vertices, 2)``, x and y in unit coordinates.
        radii: Half the width at each vertex, ``(bands, vertices)``, in unit coordinates.

    Returns:
        Coverage between 0 and 1, ``(size, size)``.
    """
    finer = max(2, 1024 // size)
    along = np.gradient(points, axis=1)
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across *= radii[..., None] / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    outlines = np.concatenate([points + across, (points - across)[:, ::-1]], axis=1)
    picture = Image.new("L", (size * finer, size * finer))
    draw = ImageDraw.Draw(picture)
    for outline in to_pixels(outlines, size * finer):
        draw.polygon(outline.ravel().tolist(), fill=255)
    return np.asarray(picture.reduce(finer), dtype=np.float32) / 255


def _dense_dots(points: Array, radii: Array) -> tuple[Array, Array]:
    """Subdivide lines (in pixels) to steps below a pixel or half a radius; drop what would not be seen."""
    first, last = points[:, :-1].reshape(-1, 2), points[:, 1:].reshape(-1, 2)
    r_first, r_last = radii[:, :-1].reshape(-1), radii[:, 1:].reshape(-1)
    visible = np.minimum(r_first, r_last) > _FAINTEST
    first, step = first[visible], (last - first)[visible]
    r_first, r_step = r_first[visible], (r_last - r_first)[visible]
    spacing = np.maximum(0.8, 0.5 * r_first)
    count = np.ceil(np.hypot(step[:, 0], step[:, 1]) / spacing + 1e-6).astype(int)
    segment = np.repeat(np.arange(len(count)), count)
    fraction = (np.arange(len(segment)) - np.repeat(np.cumsum(count) - count, count)) / count[segment]
    return first[segment] + step[segment] * fraction[:, None], r_first[segment] + r_step[segment] * fraction


def _stamp_dots(canvas: Array, xy: Array, r: Array, reach: int) -> None:
    """Lay discs on the canvas, in place, each within ``reach`` pixels of its centre."""
    xy, r = xy.astype(np.float32), r.astype(np.float32)[:, None, None]
    corner = np.rint(xy).astype(np.intp)
    offset = np.arange(-reach, reach + 1)
    shift = (corner - xy)[:, :, None] + offset.astype(np.float32)
    np.square(shift, out=shift)
    distance = np.sqrt(shift[:, 1, :, None] + shift[:, 0, None, :])
    coverage = np.clip(np.minimum(r + np.float32(0.5) - distance, 2 * r), 0, 1)
    flat = (corner[:, 1, None] + offset)[:, :, None] * len(canvas) + (corner[:, 0, None] + offset)[:, None, :]
    drawn = coverage > 0
    np.maximum.at(canvas.reshape(-1), flat[drawn], coverage[drawn])


@dataclass(frozen=True)
class Patch:
    """A small part of a canvas and how far a shape covers it.

    Attributes:
        rows: Rows of the canvas.
        columns: Columns of the canvas.
        coverage: Between 0 and 1, one value per pixel of the part.
    """

    rows: slice
    columns: slice
    coverage: Array

    @property
    def where(self) -> tuple[slice, slice]:
        """Index of the part in a ``(size, size)`` canvas."""
        return self.rows, self.columns


def blob(
    rng: Rng,
    size: int,
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
    roughness: float = 0.15,
    softness: float = 0.3,
) -> Patch:
    """An irregular, soft-edged ellipse.

    Args:
        rng: Source of the irregular outline.
        size: Height and width of the canvas in pixels.
        centre: x and y in unit coordinates.
        radii: Half axes in unit coordinates; one below half a pixel is drawn paler, not larger.
        angle: Direction of the first axis, radians from x towards y.
        roughness: How far the outline wavers, as a share of the radius.
        softness: Width of the edge as a share of the radius; never below a pixel.

    Returns:
        The window around the shape and its coverage there; empty where it lies outside the canvas.
    """
    order = np.arange(2, 9)
    amplitude = 1.4 * roughness * rng.standard_normal(len(order)) / order
    phase = rng.uniform(0, 2 * np.pi, len(order))
    pixel = 2 / size
    drawn = np.maximum(np.asarray(radii), 0.6 * pixel)
    pale = float(np.prod(np.asarray(radii) / drawn))
    reach = float(drawn.max()) * (1 + 3 * roughness + softness) + 1.5 * pixel
    rows, columns = (window(c, reach, size) for c in (centre[1], centre[0]))
    x, y = grid(size)
    dx, dy = x[:, columns] - centre[0], y[rows] - centre[1]
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / drawn[0]
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / drawn[1]
    theta = np.arctan2(v, u)
    edge = 1 + sum(a * np.cos(k * theta + p) for a, k, p in zip(amplitude, order, phase, strict=True))
    width = max(softness, pixel / float(drawn.min()))
    coverage = pale * ramp(edge - np.hypot(u, v), width)
    return Patch(rows, columns, coverage.astype(np.float32))


def window(centre: float, reach: float, size: int) -> slice:
    """The pixels of an axis within ``reach`` of ``centre``, both in unit coordinates."""
    low, high = to_pixels(np.array([centre - reach, centre + reach]), size)
    return slice(int(np.clip(np.floor(low), 0, size)), int(np.clip(np.ceil(high) + 1, 0, size)))
