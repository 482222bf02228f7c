"""Opacities in a healthy chest radiograph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from softcam.data.implants.options import ImplantOptions
from softcam.data.lungs import find_lungs
from softcam.data.phantoms.canvas import Array, Rng
from softcam.data.phantoms.chest_lesions import FEWEST_OPACITIES, MOST_OPACITIES, ChestLesion, draw_opacity

_MODEL_WIDTH = 0.74  # of the canvas: width of the lungs for which the sizes of the drawings are made
_AROUND = 1 / 12  # of the image: width of the band around the lungs that shows chest wall, heart and diaphragm
_WHITE = 0.85  # quantile of that band: the brightness of tissue without air
_GAIN = 1.6  # of the drawings' attenuation, so that a consolidation nearly looks like tissue without air
_SCALE = 1.5  # of the radius of a single opacity; several are smaller
_EDGE = 1 / 80  # of the image: how softly an opacity ends at the edge of the lungs


def implant_opacities(image: Array, options: ImplantOptions, rng: Rng) -> Iterator[tuple[str, Array]]:
    """Put 1 to 3 opacities into the lungs.

    What the beam passes adds up, so an opacity of attenuation ``a`` leaves the share ``exp(-a)`` of the way
    from a pixel to the brightness of tissue without air (Beer and Lambert): ribs and vessels stay visible
    through it, paler.

    Args:
        image: Grey, ``(1, H, W)`` in [0, 1]; not changed.
        options: Size and contrast of the opacities.
        rng: Source of number, kind, place and shape.

    Yields:
        A kind of opacity and the image with all opacities so far, for the kinds that occur.

    Raises:
        DataError: If no lungs are found.
    """
    height, width = image.shape[1:]
    lungs = find_lungs(torch.from_numpy(image)).mask
    side = max(height, width)
    columns = np.nonzero(lungs.any(axis=0))[0]
    count = int(rng.integers(FEWEST_OPACITIES, MOST_OPACITIES + 1))
    scale = options.lesion_size * _SCALE / np.sqrt(count) * (np.ptp(columns) + 1) / (_MODEL_WIDTH * side)
    soft = ndimage.gaussian_filter(lungs.astype(np.float32), _EDGE * side)
    white = _tissue(image[0], lungs)
    dense = rng.uniform(size=count) < 0.5
    attenuation = np.zeros((side, side), dtype=np.float32)
    for kind, number in ((ChestLesion.CONSOLIDATION, dense.sum()), (ChestLesion.INFILTRATE, (~dense).sum())):
        for _ in range(number):
            patch = draw_opacity(kind, side, _place(lungs, side, rng), scale, rng)
            attenuation[patch.where] += np.float32(_GAIN * options.contrast) * patch.coverage
        if number:
            absorbed = 1 - np.exp(-attenuation[:height, :width] * soft)
            yield kind, image + np.maximum(white - image, 0) * absorbed


def _tissue(image: Array, lungs: npt.NDArray[np.bool_]) -> np.float32:
    """The brightness of tissue without air, seen around the lungs."""
    reach = max(1.0, _AROUND * max(lungs.shape))
    around = ~lungs & (ndimage.distance_transform_edt(~lungs) <= reach)
    return np.float32(np.quantile(image[around], _WHITE))


def _place(lungs: npt.NDArray[np.bool_], side: int, rng: Rng) -> tuple[float, float]:
    """A point well inside a lung in unit coordinates, more often low than high."""
    depth = ndimage.distance_transform_edt(lungs)
    rows, columns = np.nonzero(depth > 0.3 * depth.max())
    weight = np.cumsum(1 + (rows - rows[0]) / (np.ptp(rows) + 1))
    chosen = int(np.searchsorted(weight, rng.uniform(0, weight[-1])))
    return float((columns[chosen] + 0.5) * 2 / side - 1), float((rows[chosen] + 0.5) * 2 / side - 1)
