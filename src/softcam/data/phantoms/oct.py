"""OCT B-scans of the macula."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softcam.data.phantoms.canvas import Array, Rng, bump, fractal_noise, grid, ramp, smooth_noise
from softcam.data.phantoms.oct_lesions import paint_lesions
from softcam.data.phantoms.options import PhantomOptions
from softcam.data.phantoms.retina_layers import Boundaries
from softcam.data.phantoms.scene import Measures


class OCTScene:
    """One eye's macula in cross-section before speckle, see `Scene`.

    Args:
        options: What the phantom shall be.
        rng: Source of all of the eye's anatomy.

    Attributes:
        layers: The layers of the retina.
        fovea: x of the fovea.
        healthy: The clean image without lesions, ``(1, size, size)``.
    """

    def __init__(self, options: PhantomOptions, rng: Rng) -> None:
        self.options = options
        measures = Measures(rng, options.variation)
        self.layers, self.fovea = Boundaries.draw(measures, options.size)
        self._modulation = _texture(measures, options.size)
        self._modulation *= _shadows(measures, self.layers, self.fovea, options.size)
        self._modulation *= _choroid(measures, self.layers, options.size)
        self._hyaloid = _hyaloid(measures, self.layers, options.size)
        self.healthy = self.scan(self.layers)

    def scan(self, layers: Boundaries) -> Array:
        """The clean image of an eye with these layers and this eye's texture, ``(1, size, size)``."""
        image = layers.reflectivity(self.options.size)
        image *= self._modulation
        image += self._hyaloid
        return np.clip(image, 0, 1, out=image)[None]

    def with_lesions(self, rng: Rng) -> Iterator[tuple[str, Array]]:
        """Paint drusen and fluid, see `Scene.with_lesions`."""
        return paint_lesions(self.scan, self.layers, self.fovea, self.options, rng)

    def with_noise(self, image: Array, rng: Rng) -> Array:
        """Multiply by speckle and add the detector's noise, see `Scene.with_noise`."""
        size, strength = self.options.size, np.float32(self.options.noise)
        white = rng.standard_normal((size, size + 1), dtype=np.float32)
        speckle = (white[:, 1:] + np.float32(0.5) * white[:, :-1]) / np.float32(1.118)
        floor = np.abs(rng.standard_normal((size, size), dtype=np.float32))
        return image * (1 + np.float32(0.21) * strength * speckle) + np.float32(0.03) * strength * floor


def _texture(measures: Measures, size: int) -> Array:
    """Unevenness of the tissue and of the columns in which it is scanned, around 1; ``(size, size)``."""
    grain = 0.07 * fractal_noise(measures.rng, size, (40, 80), fall=0.9)
    broad = 0.10 * measures.variation * smooth_noise(measures.rng, size, (3, 5))
    columns = 0.04 * smooth_noise(measures.rng, size, (1, 70))[:1]
    texture: Array = measures.between(0.85, 1.1) * (1 + grain + broad + columns)
    return texture


def _shadows(measures: Measures, layers: Boundaries, fovea: float, size: int) -> Array:
    """Shadows that the retinal vessels throw on what lies below them, at most 1; ``(size, size)``."""
    x, y = grid(size)
    shade = np.zeros((1, size), dtype=np.float32)
    for _ in range(int(measures.rng.integers(2, 7))):
        place, width, depth = measures.rng.uniform((-1, 0.008, 0.15), (1, 0.02, 0.45))
        if abs(place - fovea) > 0.25:
            shade += np.float32(depth) * bump(np.square((x - np.float32(place)) / np.float32(width)))
    return 1 - np.minimum(shade, np.float32(0.7)) * ramp(y - layers.ganglion - 0.03, 0.04)


def _choroid(measures: Measures, layers: Boundaries, size: int) -> Array:
    """Dark vessels in bright tissue below Bruch's membrane, fading with depth; 1 above it, ``(size, size)``."""
    _, y = grid(size)
    depth = np.clip(y - layers.bruch, 0, None)
    thick, darkness, reach = measures.between(0.16, 0.34), measures.between(0.3, 0.6), measures.between(0.22, 0.4)
    lumen = ramp(fractal_noise(measures.rng, size, (24, 36, 60), fall=0.8) - 0.2, 1.0)
    vessels = 1 - darkness * lumen * ramp(depth - 0.04, 0.05) * ramp(thick - depth, 0.12)
    return vessels * np.minimum(np.exp(depth * (-1 / reach)) + 0.08, 1)


def _hyaloid(measures: Measures, layers: Boundaries, size: int) -> Array | float:
    """The detached face of the vitreous, a faint line above the retina that some eyes have."""
    rise, lean = measures.between(0.04, 0.12), measures.between(-0.08, 0.08)
    if not measures.happens(0.35 * measures.variation):
        return 0.0
    x, y = grid(size)
    line = layers.ilm.min() - rise + lean * x + 0.03 * np.square(x)
    return 0.13 * bump(np.square((y - line) / max(0.012, 2 / size)))
