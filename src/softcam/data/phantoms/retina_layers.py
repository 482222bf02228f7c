"""The layers of a retina in a B-scan: boundaries per column, and how bright what lies between them is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from softcam.data.phantoms.canvas import Array, grid, ramp, smooth_noise, window
from softcam.data.phantoms.scene import Measures

# Reflectivity of the vitreous and then below each boundary, in the order of the fields of `Boundaries`.
_VITREOUS = 0.035
_REFLECTIVITY = {
    "ilm": 0.56,  # retinal nerve fibre layer
    "ganglion": 0.39,  # ganglion cells and inner plexiform layer
    "inner_nuclear": 0.25,
    "outer_plexiform": 0.36,
    "outer_nuclear": 0.19,
    "limiting": 0.34,  # external limiting membrane, a line
    "inner_segments": 0.25,
    "ellipsoid": 0.70,
    "outer_segments": 0.36,
    "fluid": 0.05,  # subretinal fluid: nothing in a healthy eye
    "epithelium": 0.80,  # retinal pigment epithelium
    "druse": 0.44,  # between pigment epithelium and Bruch's membrane: nothing in a healthy eye
    "bruch": 0.40,  # choroid
}


@dataclass(frozen=True)
class Boundaries:
    """y of the upper edge of each layer in every column, ``(1, size)`` each, from the vitreous down."""

    ilm: Array
    ganglion: Array
    inner_nuclear: Array
    outer_plexiform: Array
    outer_nuclear: Array
    limiting: Array
    inner_segments: Array
    ellipsoid: Array
    outer_segments: Array
    fluid: Array
    epithelium: Array
    druse: Array
    bruch: Array

    @classmethod
    def draw(cls, measures: Measures, size: int) -> tuple[Boundaries, float]:
        """Draw the layers of one healthy eye.

        Returns:
            The boundaries, and x of the fovea.
        """
        x, _ = grid(size)
        fovea = measures.between(-0.25, 0.25)
        u = x - np.float32(fovea)
        pit = np.exp(-np.square(u / measures.between(0.17, 0.28)))
        nasal = measures.side()
        bottom = _bruch(x, measures, size)
        scale = measures.between(0.85, 1.15)
        inner = measures.between(0.9, 1.15) * (1 + 0.2 * np.exp(-np.square((np.abs(u) - 0.42) / 0.22)) - 0.12 * u * u)
        fibres = (0.018 + 0.03 * np.clip(nasal * u + 0.25, 0, None)) * measures.between(0.8, 1.3)
        depths = (  # thickness of each layer, from Bruch's membrane up
            0.0, 0.034 + 0 * x, 0.0, 0.020 + 0.006 * pit, 0.017 + 0 * x, 0.018 + 0.004 * pit, 0.008 + 0 * x,
            (0.105 + 0.04 * pit) * measures.between(0.9, 1.1), 0.032 * (1 - 0.8 * pit),
            0.060 * inner * (1 - 0.97 * pit), 0.125 * inner * (1 - 0.95 * pit), fibres * (1 - pit),
        )  # fmt: skip
        edges = [bottom]
        for thickness in depths:
            edges.append(edges[-1] - np.float32(scale) * thickness)
        return cls(*(edge.astype(np.float32) for edge in reversed(edges))), fovea

    def with_drusen(self, lift: Array) -> Boundaries:
        """Raise the pigment epithelium off Bruch's membrane, and the receptors above it a little less."""
        return replace(
            self,
            druse=self.druse - lift,
            epithelium=self.epithelium - lift,
            fluid=self.fluid - lift,
            outer_segments=self.outer_segments - 0.95 * lift,
            ellipsoid=self.ellipsoid - 0.9 * lift,
            inner_segments=self.inner_segments - 0.85 * lift,
            limiting=self.limiting - 0.82 * lift,
        )

    def with_fluid(self, lift: Array) -> Boundaries:
        """Detach the receptors from the pigment epithelium; the layer of their nuclei gives way."""
        return replace(
            self,
            fluid=self.fluid - lift,
            outer_segments=self.outer_segments - lift,
            ellipsoid=self.ellipsoid - lift,
            inner_segments=self.inner_segments - lift,
            limiting=self.limiting - lift,
        )

    def reflectivity(self, size: int) -> Array:
        """Mean brightness of the layers before texture and speckle, ``(size, size)``."""
        _, y = grid(size)
        soft = max(0.014, 3.0 / size)
        image = np.full((size, size), _VITREOUS, dtype=np.float32)
        above = _VITREOUS
        for name, value in _REFLECTIVITY.items():
            edge = getattr(self, name)
            low, high = float(edge.min()), float(edge.max())
            rows = window((low + high) / 2, (high - low) / 2 + soft, size)
            image[rows] += np.float32(value - above) * ramp(y[rows] - edge, soft)
            image[rows.stop :] += np.float32(value - above)
            above = value
        return image


def _bruch(x: Array, measures: Measures, size: int) -> Array:
    """Course of Bruch's membrane: tilted and curved like the back of the eye, a little uneven."""
    middle, tilt = measures.between(-0.05, 0.35), measures.between(-0.22, 0.22)
    curve = measures.between(-0.22, 0.06)
    uneven = 0.012 * measures.variation * smooth_noise(measures.rng, size, (1, 6))[:1]
    return middle + np.float32(tilt) * x + np.float32(curve) * np.square(x) + uneven
