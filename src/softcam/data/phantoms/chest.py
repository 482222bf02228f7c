"""Frontal chest radiographs: what the beam passes adds up, and the film shows ``1 - exp(-attenuation)``.

So ribs are plain over the lungs and hardly seen over the heart, as on a real film.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softcam.data.phantoms.canvas import Array, Rng, fractal_noise, ramp, smooth_noise
from softcam.data.phantoms.chest_bones import Skeleton
from softcam.data.phantoms.chest_lesions import paint_opacities
from softcam.data.phantoms.chest_vessels import draw_lung_vessels
from softcam.data.phantoms.options import PhantomOptions
from softcam.data.phantoms.scene import Measures
from softcam.data.phantoms.thorax import Thorax


class ChestScene:
    """One patient before the X-ray quanta are counted, see `Scene`.

    Args:
        options: What the phantom shall be.
        rng: Source of all of the patient's anatomy.

    Attributes:
        thorax: Where things are.
        attenuation: What the beam loses in the healthy patient, ``(size, size)``.
        healthy: The clean image without lesions, ``(1, size, size)``.
    """

    def __init__(self, options: PhantomOptions, rng: Rng) -> None:
        self.options = options
        measures = Measures(rng, options.variation)
        self.thorax = Thorax.draw(measures, options.size)
        self._gain = measures.between(0.95, 1.25)
        self._black, self._white = measures.between(0.0, 0.06), measures.between(0.9, 1.0)
        self.attenuation = _attenuation(self.thorax, measures)
        self.healthy = self.expose(self.attenuation)

    def expose(self, attenuation: Array) -> Array:
        """The film for an attenuation, ``(size, size)`` to ``(1, size, size)``."""
        film = 1 - np.exp(attenuation * (-self._gain))
        image: Array = np.clip(self._black + (self._white - self._black) * film, 0, 1)[None]
        return image

    def with_lesions(self, rng: Rng) -> Iterator[tuple[str, Array]]:
        """Paint the opacities of a pneumonia, see `Scene.with_lesions`."""
        for kind, attenuation in paint_opacities(self.attenuation, self.thorax, self.options, rng):
            yield kind, self.expose(attenuation)

    def with_noise(self, image: Array, rng: Rng) -> Array:
        """Add quantum noise, see `Scene.with_noise`."""
        size = self.options.size
        white = rng.standard_normal((size + 1, size + 1), dtype=np.float32)
        grain = (white[1:, 1:] + np.float32(0.6) * (white[:-1, 1:] + white[1:, :-1])) / np.float32(1.31)
        return image + np.float32(0.006 * self.options.noise) * (1 + image) * grain


def _attenuation(thorax: Thorax, measures: Measures) -> Array:
    total = _soft_tissue(thorax, measures)
    total += Skeleton.draw(measures).attenuation(thorax)
    total += draw_lung_vessels(measures, thorax)
    total += 0.035 * fractal_noise(measures.rng, thorax.size, (24, 52, 96), fall=0.8) * thorax.lungs
    total += 0.05 * measures.variation * smooth_noise(measures.rng, thorax.size, 3) * thorax.body
    return np.clip(total, 0, None, out=total)


def _soft_tissue(thorax: Thorax, measures: Measures) -> Array:
    """Chest wall, mediastinum, heart and abdomen, less the air of lungs and windpipe."""
    total = measures.between(1.15, 1.45) * thorax.thickness
    total -= measures.between(0.82, 0.98) * thorax.lungs * (0.55 + 0.45 * thorax.lung_depth)
    total += measures.between(0.45, 0.65) * thorax.heart * (1 - 0.8 * thorax.abdomen)
    total += (measures.between(0.5, 0.9) - 0.5 * _stomach_bubble(thorax, measures)) * thorax.abdomen
    total += _breasts(thorax, measures)
    total += _hila(thorax) * thorax.lungs
    total -= 0.28 * thorax.windpipe
    total += 0.04 * smooth_noise(measures.rng, thorax.size, (5, 9)) * thorax.body
    return total


def _hila(thorax: Thorax) -> Array:
    """The roots of the lungs, denser for their vessels and nodes."""
    across = np.square((np.abs(thorax.x) - 0.18) / 0.07)
    density: Array = 0.16 * np.exp(-across) * np.exp(-np.square((thorax.y + 0.04) / 0.12))
    return density


def _breasts(thorax: Thorax, measures: Measures) -> Array | float:
    density, low = measures.between(0.08, 0.2), measures.between(0.22, 0.4)
    if not measures.happens(0.4 * measures.variation):
        return 0.0
    across = np.abs(thorax.x) - 0.46
    distance = np.hypot(across / 1.15, thorax.y - low + 0.25 * np.maximum(-across, 0))
    return density * ramp(0.34 - distance, 0.1) * ramp(thorax.y - low + 0.25, 0.4) * thorax.body


def _stomach_bubble(thorax: Thorax, measures: Measures) -> Array | float:
    """Gas under the left dome of the diaphragm, which some patients have; 1 inside."""
    x, y = measures.between(0.3, 0.5), thorax.left_dome + measures.between(0.08, 0.16)
    wide, high = measures.between(0.08, 0.16), measures.between(0.05, 0.1)
    if not measures.happens(0.4 * measures.variation):
        return 0.0
    return ramp(1 - np.hypot((thorax.x - x) / wide, (thorax.y - y) / high), 0.5)
