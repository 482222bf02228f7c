"""Colour photographs of the retina: field of view, disc, macula, vessels, choroid.

Colour follows absorption: an image is ``light * exp(-(pigment + blood))`` per colour, with blood taking
green and blue and little red. So a vessel over a bright fundus looks as it does over a dark one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import gaussian_filter

from softcam.data.phantoms.canvas import Array, Rng, bump, draw_strokes, fractal_noise, grid, ramp, smooth_noise, window
from softcam.data.phantoms.eye import Eye
from softcam.data.phantoms.fundus_lesions import paint_lesions
from softcam.data.phantoms.options import PhantomOptions
from softcam.data.phantoms.scene import Measures
from softcam.data.phantoms.vessels import Paths, grow_tree

# Absorption and colour in red, green and blue, shaped to meet an image (3, size, size).
_BLOOD = np.array([0.30, 1.05, 0.95], dtype=np.float32)[:, None, None]
_NERVE = np.array([1.08, 0.70, 0.36], dtype=np.float32)[:, None, None]
_CUP = np.array([1.12, 0.90, 0.62], dtype=np.float32)[:, None, None]
_MELANIN = np.array([0.55, 0.95, 1.15], dtype=np.float32)[:, None, None]
_SHEEN = np.array([0.8, 1.0, 0.75], dtype=np.float32)[:, None, None]


class FundusScene:
    """One eye before the camera's noise, see `Scene`.

    Args:
        options: What the phantom shall be.
        rng: Source of all of the eye's anatomy.

    Attributes:
        eye: Where things are.
        field_of_view: 1 inside the field of view, 0 outside, with a soft edge; ``(size, size)``.
        healthy: The clean image without lesions, ``(3, size, size)``.
    """

    def __init__(self, options: PhantomOptions, rng: Rng) -> None:
        self.options = options
        measures = Measures(rng, options.variation)
        self.eye = Eye.draw(measures)
        self.field_of_view = _field_of_view(self.eye, options.size)
        self.healthy = self._draw(measures)

    def _draw(self, measures: Measures) -> Array:
        colour = _fundus_colour(measures)
        tissue = np.exp(self._pigment(measures) * -_MELANIN)
        tissue *= colour
        self._lay_disc(tissue, measures)
        tissue *= np.exp(self._blood(measures) * -_BLOOD)
        tissue *= self._light(measures)
        tissue += self._reflexes(measures)
        tissue *= self.field_of_view
        image: Array = np.clip(tissue, 0, 1, out=tissue)
        return image

    def with_lesions(self, rng: Rng) -> Iterator[tuple[str, Array]]:
        """Paint the signs of diabetic retinopathy, see `Scene.with_lesions`."""
        return paint_lesions(self.healthy, self.eye, self.field_of_view, self.options, rng)

    def with_noise(self, image: Array, rng: Rng) -> Array:
        """Add sensor noise, see `Scene.with_noise`."""
        size = self.options.size
        grain = rng.standard_normal((3, size, size), dtype=np.float32)
        grain += np.float32(0.5) * grain.sum(axis=0)  # more of luminance than of colour, as cameras make it
        grain *= np.float32(0.55 * self.options.noise) * (np.float32(0.006) + np.float32(0.014) * np.sqrt(image))
        return image + grain

    def _pigment(self, measures: Measures) -> Array:
        """Optical density of macula, choroid and mottling, ``(size, size)``."""
        size, rng = self.options.size, measures.rng
        squared = self._from_squared(self.eye.fovea)
        mottle = 0.045 * fractal_noise(rng, size, (10, 22, 48, 90), fall=0.75)
        broad = 0.10 * measures.variation * smooth_noise(rng, size, 4)
        streaks = np.exp(-np.square(fractal_noise(rng, size, (20, 44), fall=0.6)) * 9)
        choroid = -measures.between(-0.05, 0.09) * streaks * ramp(np.sqrt(squared) - 0.5, 0.5)
        macula = measures.between(0.22, 0.42) * np.exp(-squared / 0.055)
        pit = measures.between(0.12, 0.40) * np.exp(-squared / measures.between(0.004, 0.008))
        density: Array = mottle + broad + choroid + macula + pit
        return density

    def _blood(self, measures: Measures) -> Array:
        """Optical density of the vessels, ``(size, size)``."""
        fovea, size = self.eye.fovea_from_disc, self.options.size
        calibre = measures.between(0.85, 1.15)
        veins = grow_tree(measures.rng, fovea, 0.0185 * calibre)
        arteries = grow_tree(measures.rng, fovea, 0.0135 * calibre)
        depth = measures.between(0.42, 0.6)
        density = depth * self._strokes(veins) + 0.72 * depth * self._strokes(arteries)
        if size >= 192:  # wide enough for the bright line along an artery to be seen
            density -= 0.22 * depth * self._strokes(Paths(arteries.points[:4], arteries.radii[:4] * 0.3))
        density *= 1 - 0.45 * bump(self._from_squared(self.eye.disc) / (1.8 * self.eye.disc_radius**2))
        blurred: Array = gaussian_filter(density, 0.35 + size / 900, truncate=3)
        return blurred

    def _strokes(self, paths: Paths) -> Array:
        points = self.eye.to_canvas(paths.points)
        return draw_strokes(self.options.size, points, paths.radii * self.eye.field_radius)

    def _lay_disc(self, tissue: Array, measures: Measures) -> None:
        """Paint the optic disc with its cup, rim and crescent, in place on ``(3, size, size)``."""
        eye, size = self.eye, self.options.size
        glow = 0.12 * np.exp(-self._from_squared(eye.disc) / (6 * eye.disc_radius**2))
        tissue *= 1 + glow
        temple = 1.0 if eye.fovea[0] > eye.disc[0] else -1.0
        oval = measures.between(0.87, 1.0)
        cup_size, cup_depth = measures.between(0.25, 0.6), measures.between(0.4, 1.0)
        pallor, atrophy = measures.between(0.85, 1.05), measures.between(-0.25, 0.25)
        rows, columns = (window(float(eye.disc[axis]), 1.5 * eye.disc_radius, size) for axis in (1, 0))
        x, y = grid(size)
        u = (x[:, columns] - eye.disc[0]) * (temple / (oval * eye.disc_radius))
        v = (y[rows] - eye.disc[1]) / eye.disc_radius
        part = tissue[:, rows, columns]
        part *= 1 + max(atrophy, 0) * ramp(1.08 - np.hypot(u - 0.22, v), 0.15)
        rim = ramp(1 - np.hypot(u, v), 0.2)
        cup = cup_depth * ramp(cup_size - np.hypot(u - 0.12, v), 0.3)
        nerve = pallor * (_NERVE + (_CUP - _NERVE) * cup)
        part += (np.maximum(nerve, part) - part) * rim * (0.85 + 0.15 * u)

    def _light(self, measures: Measures) -> Array:
        """Illumination: falls off to the rim, uneven, ``(size, size)``."""
        x, y = grid(self.options.size)
        lean_x, lean_y = measures.between(-0.2, 0.2), measures.between(-0.2, 0.2)
        falloff, brightness = measures.between(0.15, 0.5), measures.between(0.85, 1.15)
        light: Array = 1.08 - falloff * (np.square(x - lean_x) + np.square(y - lean_y))
        light *= brightness
        return light

    def _reflexes(self, measures: Measures) -> Array:
        """Sheen of the nerve fibres and a point of light in the fovea, both healthy; ``(3, size, size)``."""
        squared = self._from_squared(self.eye.fovea)
        place, strength = measures.between(0.22, 0.42), max(measures.between(-0.06, 0.07), 0)
        patchy = np.clip(smooth_noise(measures.rng, self.options.size, (14, 8)), 0, None)
        sheen = strength * patchy * np.exp(-np.square((np.sqrt(squared) - place) / 0.07))
        spot = max(measures.between(-0.1, 0.14), 0) * bump(squared / 0.018**2)
        return _SHEEN * (sheen + spot)

    def _from_squared(self, point: Array) -> Array:
        """Squared distance of every pixel from a point, ``(size, size)``."""
        x, y = grid(self.options.size)
        squared: Array = np.square(x - point[0]) + np.square(y - point[1])
        return squared


def _field_of_view(eye: Eye, size: int) -> Array:
    x, y = grid(size)
    edge = max(0.012, 2.5 / size)
    circle = ramp(eye.field_radius - np.hypot(x, y) - edge / 2, edge)
    return circle * ramp(eye.flat - np.abs(y), edge)


def _fundus_colour(measures: Measures) -> Array:
    """Colour of the bare fundus, from blond to heavily pigmented, ``(3, 1, 1)``."""
    blond = np.array([0.95, 0.50, 0.24])
    dark = np.array([0.66, 0.30, 0.13])
    share = measures.between(0, 1)
    tint = np.array([1.0, measures.between(0.9, 1.12), measures.between(0.7, 1.3)])
    colour: Array = (blond + (dark - blond) * share) * tint
    return colour.astype(np.float32)[:, None, None]
