"""Ribs, clavicles, spine and shoulder blades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from softcam.data.phantoms.canvas import Array, draw_bands, ramp
from softcam.data.phantoms.scene import Measures
from softcam.data.phantoms.thorax import Thorax

_PAIRS = 10
_VERTICES = 40
_SIDES = (-1.0, 1.0)


@dataclass(frozen=True)
class Skeleton:
    """The measures of a patient's bones.

    Attributes:
        spacing: Distance between two ribs at the spine, as a share of the mean one.
        drop: How far a rib falls from the spine to the breast bone.
        rib_radius: Half a rib's height.
        density: Attenuation of a rib.
        clavicle_rise: How far the outer end of a clavicle lies above its inner end.
        clavicle_radius: Half a clavicle's height.
        jitter: Small differences between the ribs, ``(pairs, 2)``.
    """

    spacing: float
    drop: float
    rib_radius: float
    density: float
    clavicle_rise: float
    clavicle_radius: float
    jitter: Array

    @classmethod
    def draw(cls, measures: Measures) -> Skeleton:
        """Draw the measures of one patient."""
        return cls(
            spacing=measures.between(0.95, 1.08),
            drop=measures.between(0.42, 0.62),
            rib_radius=measures.between(0.022, 0.029),
            density=measures.between(0.13, 0.22),
            clavicle_rise=measures.between(0.02, 0.2),
            clavicle_radius=measures.between(0.022, 0.03),
            jitter=measures.variation * measures.rng.normal(0, 0.008, (_PAIRS, 2)),
        )

    def attenuation(self, thorax: Thorax) -> Array:
        """What the bones take from the beam, ``(size, size)``."""
        outline = self._ribs(thorax, 0.06, 1.75) + 0.55 * self._ribs(thorax, 1.5, 2.5)
        outline += 1.2 * self._girdle(thorax)
        total = self.density * _tube(outline, thorax.size / 256) + self._spine(thorax) + _shoulder_blades(thorax)
        return np.asarray(total * thorax.body, dtype=np.float32)

    def _ribs(self, thorax: Thorax, start: float, end: float) -> Array:
        """Rib hoops between two angles: 0 at the spine, pi / 2 at the side, pi at the breast bone."""
        angle = np.linspace(start, end, _VERTICES)
        hoops = [self._hoop(thorax, pair, angle) for pair in range(_PAIRS)]
        points = np.stack([hoop * (side, 1.0) for hoop in hoops for side in _SIDES])
        radii = self.rib_radius * np.linspace(0.85, 1.15, _VERTICES) * np.ones((len(points), 1))
        return draw_bands(thorax.size, thorax.to_canvas(points), radii * thorax.pose[0])

    def _hoop(self, thorax: Thorax, pair: int, angle: Array) -> Array:
        """One rib as seen from the front, ``(vertices, 2)`` with x > 0: a circle that is tilted forwards."""
        height = (thorax.base - thorax.apex) * self.spacing
        top = thorax.apex + 0.098 * height * pair + self.jitter[pair, 0]
        drop = self.drop * (0.5 + 0.09 * pair) + self.jitter[pair, 1]
        y = top + drop * (1 - np.cos(angle)) / 2 - 0.04 * np.sin(2 * np.clip(angle, 0, np.pi / 2))
        reach = float(thorax.outer_edge(top + drop / 2)) + 0.015
        return np.stack([reach * np.sin(angle) ** 0.85, y], axis=1)

    def _girdle(self, thorax: Thorax) -> Array:
        """Clavicles and upper arms, coverage between 0 and 1."""
        s = np.linspace(0, 1, _VERTICES)
        over = thorax.apex + 0.15 - self.clavicle_rise * s - 0.035 * np.sin(2 * np.pi * s)
        clavicle = np.stack([0.07 + 0.80 * s, over], axis=1)
        down = thorax.apex + 0.2 + 2.0 * s
        arm = np.stack([thorax.arm_centre(down), down], axis=1)
        points = np.stack([line * (side, 1.0) for line in (clavicle, arm) for side in _SIDES])
        swell = 1.25 - 0.5 * np.sin(np.pi * s) ** 0.5
        head = 0.036 + 0.055 * np.exp(-np.square((s - 0.025) / 0.04)) - 0.06 * np.exp(-np.square(s / 0.01))
        radii = np.stack([self.clavicle_radius * swell] * 2 + [head] * 2)
        return draw_bands(thorax.size, thorax.to_canvas(points), radii * thorax.pose[0])

    def _spine(self, thorax: Thorax) -> Array:
        """Vertebral bodies with darker discs between them."""
        period = 0.105 * self.spacing
        phase = np.cos(2 * np.pi * thorax.y / period)
        vertebra = 0.72 + 0.28 * ramp(0.55 - phase, 0.9)
        width = 0.066 + 0.010 * phase + 0.008 * thorax.y
        body = ramp(width - np.abs(thorax.x), 0.025) * vertebra
        process = ramp(0.012 - np.abs(thorax.x), 0.02) * ramp(-phase, 1.0)
        return 0.30 * body + 0.10 * process


def _tube(outline: Array, scale: float) -> Array:
    """Bones from their outline: brighter along the edges, where the beam passes more cortex."""
    sharp = gaussian_filter(outline, 0.8 * scale, truncate=2.5)
    return np.asarray(sharp + 0.7 * (sharp - gaussian_filter(sharp, 2.4 * scale, truncate=2.5)), dtype=np.float32)


def _shoulder_blades(thorax: Thorax) -> Array:
    """Faint triangles over the outer upper lungs."""
    distance = np.abs(thorax.x)
    inner = distance - 0.60 - 0.10 * (thorax.y + 0.3)
    outer = 0.92 - distance - 0.45 * (thorax.y + 0.2)
    blade = ramp(inner, 0.03) * ramp(outer, 0.04) * ramp(thorax.y + 0.62, 0.05)
    return 0.11 * blade
