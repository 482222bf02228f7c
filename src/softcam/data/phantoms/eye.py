"""Where things are in a photograph of the retina."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softcam.data.phantoms.canvas import Array
from softcam.data.phantoms.scene import Measures


@dataclass(frozen=True)
class Eye:
    """The measures of one eye, in unit coordinates of the canvas.

    Attributes:
        disc: Centre of the optic disc, x and y.
        disc_radius: Its mean radius.
        fovea: Centre of the macula, x and y.
        field_radius: Radius of the field of view, centred on the canvas.
        flat: Rows with ``|y|`` above this are black, as in cameras that cut the circle.
        axes: Maps (towards the temple, down) in units of the field's radius to canvas x and y, ``(2, 2)``.
    """

    disc: Array
    disc_radius: float
    fovea: Array
    field_radius: float
    flat: float
    axes: Array

    @classmethod
    def draw(cls, measures: Measures) -> Eye:
        """Draw the measures of one eye."""
        side = measures.side()
        tilt = measures.between(-0.16, 0.16)
        radius = measures.between(0.93, 1.0)
        rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        axes: Array = radius * rotation * (side, 1.0)
        disc: Array = radius * np.array([-side * measures.between(0.42, 0.70), measures.between(-0.12, 0.12)])
        fovea = disc + axes @ np.array([measures.between(0.60, 0.70), measures.between(0.02, 0.12)])
        disc_radius = radius * measures.between(0.115, 0.15)
        flat = radius * measures.between(0.72, 0.92) if measures.happens(0.4 * measures.variation) else 2.0
        return cls(disc.astype(np.float32), disc_radius, fovea.astype(np.float32), radius, flat, axes)

    def to_canvas(self, points: Array) -> Array:
        """Eye coordinates (origin at the disc) to canvas coordinates, ``(..., 2)``."""
        x, y = points[..., 0], points[..., 1]
        return np.stack([self.disc[k] + self.axes[k, 0] * x + self.axes[k, 1] * y for k in (0, 1)], axis=-1)

    @property
    def fovea_from_disc(self) -> Array:
        """The fovea in eye coordinates, ``(2,)``."""
        coordinates: Array = np.linalg.solve(self.axes, self.fovea - self.disc)
        return coordinates
