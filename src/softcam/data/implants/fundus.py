"""Exudates, haemorrhages and microaneurysms in a healthy photograph of the retina."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from softcam.data.implants.options import ImplantOptions
from softcam.data.phantoms.canvas import Array, Rng
from softcam.data.phantoms.eye import Eye
from softcam.data.phantoms.fundus_lesions import TYPICAL, FundusLesion, Palette, paint_lesions
from softcam.data.phantoms.options import LARGEST_SIZE, SMALLEST_SIZE, PhantomOptions
from softcam.data.retina import crop_to_circle, retina_circle, retina_mask
from softcam.errors import DataError

_SHARES = {FundusLesion.EXUDATE: 0.35, FundusLesion.HAEMORRHAGE: 0.35, FundusLesion.MICROANEURYSM: 0.30}
_VESSELS = 0.97  # quantile of darkness beside the surroundings from which on a pixel is taken for a vessel
_DISC_RADIUS = 0.15  # of the retina's
_FOVEA = 0.65  # of the retina's radius: how far the fovea lies from the disc


@dataclass(frozen=True, eq=False)
class _Retina:
    """The square around the retina, whose circle is the unit circle of the canvas.

    Attributes:
        image: ``(3, S, S)``, black beyond the photograph.
        mask: Bool ``(S, S)``.
        top: Row of the photograph at which the square begins; may be negative.
        left: Column of the photograph.
    """

    image: Array
    mask: npt.NDArray[np.bool_]
    top: int
    left: int

    @classmethod
    def cut_out(cls, photograph: Array) -> _Retina:
        pixels = torch.from_numpy(photograph)
        circle = retina_circle(pixels)
        square = crop_to_circle(pixels, circle)
        side = square.shape[-1]
        mask = retina_mask(square)
        if not SMALLEST_SIZE <= side <= LARGEST_SIZE or photograph.std() < 0.01:
            raise DataError(
                f"no retina of {SMALLEST_SIZE} to {LARGEST_SIZE} px is found; a fundus photograph is needed."
            )
        return cls(square.numpy(), mask, round(circle.y - side / 2), round(circle.x - side / 2))

    def put_back(self, square: Array, photograph: Array) -> Array:
        """The photograph with another square in its place."""
        height, width = photograph.shape[1:]
        side = square.shape[-1]
        rows = slice(max(self.top, 0), min(self.top + side, height))
        columns = slice(max(self.left, 0), min(self.left + side, width))
        whole = photograph.copy()
        whole[:, rows, columns] = square[
            :, rows.start - self.top : rows.stop - self.top, columns.start - self.left : columns.stop - self.left
        ]
        return whole


def implant_lesions(photograph: Array, options: ImplantOptions, rng: Rng) -> Iterator[tuple[str, Array]]:
    """Put 3 to 9 sites of disease into the retina.

    Blood absorbs as it does in the vessels of the same photograph, and exudates are as bright as its disc.

    Args:
        photograph: Colour, ``(3, H, W)`` in [0, 1]; not changed.
        options: Size and contrast of the lesions.
        rng: Source of number, kind, place and shape.

    Yields:
        A kind of lesion and the photograph with all lesions so far, for the kinds that occur.

    Raises:
        DataError: If no retina is found.
    """
    retina = _Retina.cut_out(photograph)
    drawn = PhantomOptions(
        size=retina.image.shape[-1], lesion_size=options.lesion_size, lesion_contrast=options.contrast
    )
    field = ndimage.gaussian_filter(retina.mask.astype(np.float32), 1.0) * retina.mask
    palette, eye = _palette(retina), _eye(retina)
    for kind, square in paint_lesions(retina.image, eye, field, drawn, rng, palette, _SHARES):
        yield kind, retina.put_back(square, photograph)


def _palette(retina: _Retina) -> Palette:
    """Half-way between what lesions typically look like and what this photograph shows of blood and disc."""
    inside = ndimage.binary_erosion(retina.mask, iterations=max(2, len(retina.mask) // 20))
    if not inside.any():
        return TYPICAL
    sigma = len(retina.mask) / 24
    surroundings = ndimage.gaussian_filter(retina.image, (0, sigma, sigma))
    absorbed = np.log((surroundings + 0.02) / (retina.image + 0.02))[:, inside]
    vessels = absorbed[1] >= np.quantile(absorbed[1], _VESSELS)
    blood = np.clip(absorbed[:, vessels].mean(axis=1), 0.2, 1.5)
    bright = np.quantile(retina.image[:, inside], 0.98, axis=1)
    return Palette(
        blood=((TYPICAL.blood + blood) / 2).astype(np.float32),
        lipid=((TYPICAL.lipid + bright) / 2).astype(np.float32),
        wool=TYPICAL.wool,
    )


def _eye(retina: _Retina) -> Eye:
    """Where disc and fovea are: the disc at the brightest place, the fovea beside it towards the middle."""
    side = len(retina.mask)
    light = retina.image.mean(axis=0) * retina.mask
    spots = ndimage.gaussian_filter(light, side / 30) - ndimage.gaussian_filter(light, side / 6)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    row, column = np.unravel_index(int(np.argmax(np.where(np.hypot(x, y) < 0.85, spots, -1))), spots.shape)
    disc = np.array([x[row, column], y[row, column]], dtype=np.float32)
    temple = -1.0 if disc[0] > 0 else 1.0
    rows = np.nonzero(retina.mask[:, side // 2])[0]
    flat = float(min(1.0, *np.abs((rows[[0, -1]] + 0.5) * 2 / side - 1))) if rows.size else 1.0
    return Eye(
        disc=disc,
        disc_radius=_DISC_RADIUS,
        fovea=disc + np.array([temple * _FOVEA, 0], dtype=np.float32),
        field_radius=1.0,
        flat=flat,
        axes=np.array([[temple, 0], [0, 1]]),
    )
