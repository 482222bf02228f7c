"""The shape of a chest seen from the front: body, lungs, heart, diaphragm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softcam.data.phantoms.canvas import Array, grid, ramp
from softcam.data.phantoms.scene import Measures


@dataclass(frozen=True)
class Thorax:
    """A patient's chest on a canvas.

    The patient's coordinates have x = 0 on the spine and x > 0 on the patient's left, which is on the right
    of the image. The canvas sees them shifted, scaled and leaning.

    Attributes:
        x: The patient's x of each pixel, ``(size, size)``.
        y: The patient's y of each row, ``(size, 1)``.
        body: 1 inside the patient, 0 in the air around; like all below ``(size, size)``.
        thickness: How much of the chest the beam passes, 0 to 1.
        lungs: 1 in the lungs where neither heart nor diaphragm hides them.
        lung_depth: 1 where a lung is deep, 0 at its edge.
        heart: Thickness of heart and great vessels.
        abdomen: 1 below the diaphragm.
        windpipe: 1 in trachea and main bronchi.
        apex: y of the top of the lungs.
        base: y of the lowest corner of the lungs.
        half_width: Outer edge of the lungs at their base.
        left_dome: y of the top of the left half of the diaphragm.
        arm_spread: How far the arms are held off the trunk.
        pose: (scale, shift of x, shift of y, lean) of the patient on the canvas.
    """

    x: Array
    y: Array
    body: Array
    thickness: Array
    lungs: Array
    lung_depth: Array
    heart: Array
    abdomen: Array
    windpipe: Array
    apex: float
    base: float
    half_width: float
    left_dome: float
    arm_spread: float
    pose: tuple[float, float, float, float]

    @property
    def size(self) -> int:
        """Height and width of the canvas in pixels."""
        return len(self.y)

    def to_canvas(self, points: Array) -> Array:
        """The patient's coordinates to canvas coordinates, ``(..., 2)``."""
        scale, shift_x, shift_y, lean = self.pose
        y = points[..., 1] * scale + shift_y
        return np.stack([points[..., 0] * scale + shift_x + lean * y, y], axis=-1)

    def outer_edge(self, y: Array | float) -> Array:
        """Distance of the rib cage from the spine at a height."""
        return outer_edge(np.asarray(y), self.apex, self.base, self.half_width)

    def arm_centre(self, y: Array) -> Array:
        """Distance of the upper arm's bone from the spine at a height."""
        return _arm_centre(y, self.arm_spread)

    @classmethod
    def draw(cls, measures: Measures, size: int) -> Thorax:
        """Draw the measures of one patient and lay them out on a canvas."""
        pose = (
            measures.between(0.92, 1.08),
            measures.between(-0.06, 0.06),
            measures.between(-0.04, 0.08),
            measures.between(-0.06, 0.06),
        )
        scale, shift_x, shift_y, lean = pose
        canvas_x, canvas_y = grid(size)
        y = (canvas_y - np.float32(shift_y)) / np.float32(scale)
        x = (canvas_x - np.float32(shift_x) - np.float32(lean) * canvas_y) / np.float32(scale)
        apex, base = measures.between(-0.78, -0.68), measures.between(0.52, 0.66)
        half_width = measures.between(0.68, 0.80)
        trunk = half_width + measures.between(0.12, 0.24)
        torso, thickness = _torso(x, y, trunk, measures)
        spread = measures.between(0.0, 0.22)
        arms = _arms(x, y, _arm_centre(y, spread))
        body = np.maximum(torso, ramp(arms - 0.1, 0.2))
        heart, in_heart = _heart(x, y, measures)
        domes = (base - measures.between(0.24, 0.34), base - measures.between(0.18, 0.28))
        floor = _diaphragm(x, domes, half_width, base)
        lungs, depth = _lungs(x, y, apex, base, half_width, measures)
        above = ramp(floor - y, 0.03)
        flank = np.sqrt(np.clip(1 - np.square(x / (half_width + 0.06)), 0, None))
        abdomen = (1 - above) * flank * ramp(y - min(domes) + 0.02, 0.1)
        return cls(
            x=x,
            y=y,
            body=body,
            thickness=thickness + 0.5 * arms,
            lungs=lungs * above * (1 - in_heart),
            lung_depth=depth,
            heart=heart * body,
            abdomen=abdomen,
            windpipe=_windpipe(x, y, measures),
            apex=apex,
            base=base,
            half_width=half_width,
            left_dome=domes[1],
            arm_spread=spread,
            pose=pose,
        )


def _arm_centre(y: Array, spread: float) -> Array:
    distance: Array = 0.93 + spread * np.clip(y + 0.45, 0, 1)
    return distance


def outer_edge(y: Array, apex: float, base: float, half_width: float) -> Array:
    """Distance of a lung's outer edge from the spine: round at the apex, widest at the base."""
    t = np.clip((y - apex) / (base - apex), 0, 1)
    edge: Array = 0.13 + (half_width - 0.13) * np.sqrt(1 - (1 - t) ** 2.6)
    return edge


def _torso(x: Array, y: Array, trunk: float, measures: Measures) -> tuple[Array, Array]:
    """Neck, shoulders and trunk: where they are and how thick."""
    neck, shoulder = measures.between(0.2, 0.27), measures.between(-0.90, -0.76)
    slope = ramp(y - shoulder, 0.44)
    below = ramp(y + 0.2, 0.45)
    width = neck + (0.95 + (trunk - 0.95) * below - neck) * slope**0.8
    inside = np.square(x / width)
    body = ramp(1 - inside, 0.06)
    return body, np.sqrt(np.clip(1 - 0.72 * inside, 0, None)) * body * (0.7 + 0.3 * slope)


def _arms(x: Array, y: Array, centre: Array) -> Array:
    """Thickness of the upper arms, which hang beside the trunk."""
    wide = 0.17 * np.sqrt(np.clip(1 - np.square(np.minimum(y + 0.42, 0) / 0.22), 0, None))
    thickness: Array = np.sqrt(np.clip(np.square(wide) - np.square(np.abs(x) - centre), 0, None)) / np.float32(0.17)
    return thickness


def _lungs(x: Array, y: Array, apex: float, base: float, half_width: float, measures: Measures) -> tuple[Array, Array]:
    """Both lungs, not yet cut by heart and diaphragm, and how deep they are."""
    mediastinum = measures.between(0.10, 0.15)
    inner = (mediastinum + 0.09 * np.exp((apex - y) / 0.09)).astype(np.float32)
    outer = outer_edge(y, apex, base, half_width).astype(np.float32)
    distance = np.abs(x)
    lungs = ramp(distance - inner, 0.05) * ramp(outer - distance, 0.025)
    across = (2 * distance - inner - outer) / np.maximum(outer - inner, 0.05)
    depth = np.sqrt(np.clip(1 - np.square(across), 0, None))
    return lungs, depth * (0.75 + 0.25 * ramp(y - apex, 0.8))


def _heart(x: Array, y: Array, measures: Measures) -> tuple[Array, Array]:
    """Thickness of heart and great vessels, and where they hide the lungs.

    On either side one smooth border: caval vein and right atrium; aortic arch, pulmonary trunk, left ventricle.
    """
    low = measures.between(0.27, 0.38)
    ventricle, atrium = measures.between(0.23, 0.34), measures.between(0.07, 0.13)
    arch, arch_y = measures.between(0.03, 0.08), measures.between(-0.40, -0.31)
    waist = measures.between(0.105, 0.13)
    left = waist + arch * _hump(y, arch_y, 0.09) + 0.04 * _hump(y, -0.16, 0.10)
    left += ventricle * np.where(y < low, _hump(y, low, 0.34), _hump(y, low, 0.24))
    right = waist - 0.01 + atrium * _hump(y, low - 0.1, 0.26)
    reach = np.where(x > 0, left, right).astype(np.float32)
    inside = 1 - np.square(x / reach)
    fullness = 0.45 + 0.55 * ramp(y + 0.05, 0.5)
    return np.sqrt(np.clip(inside, 0, None)) * fullness, ramp(reach - np.abs(x), 0.035)


def _hump(y: Array, centre: float, width: float) -> Array:
    bell: Array = np.exp(-np.square((y - np.float32(centre)) / np.float32(width)))
    return bell


def _diaphragm(x: Array, domes: tuple[float, float], half_width: float, base: float) -> Array:
    """The height of the diaphragm over each pixel: two domes with a sharp outer corner."""
    top = np.where(x < 0, np.float32(domes[0]), np.float32(domes[1]))
    u = (np.abs(x) - 0.52 * half_width) / (0.48 * half_width)
    fall = np.where(u > 0, np.minimum(u * u * u, 1), np.float32(0.3) * u * u)
    return top + (base + 0.06 - top) * fall


def _windpipe(x: Array, y: Array, measures: Measures) -> Array:
    carina, wide = measures.between(-0.24, -0.16), measures.between(0.03, 0.045)
    trachea = ramp(wide - np.abs(x - 0.01), 0.03) * ramp(carina - y, 0.06)
    below = y - carina
    bronchi = ramp(0.028 - np.abs(np.abs(x) - 0.75 * below), 0.03) * ramp(below, 0.03) * ramp(0.16 - below, 0.1)
    return np.maximum(trachea, 0.8 * bronchi)
