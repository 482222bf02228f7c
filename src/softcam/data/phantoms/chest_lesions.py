"""Opacities of a pneumonia: consolidation of part of a lobe, and patchy infiltrates."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import numpy as np

from softcam.data.phantoms.canvas import Array, Patch, Rng, blob, fractal_noise
from softcam.data.phantoms.options import PhantomOptions
from softcam.data.phantoms.thorax import Thorax

FEWEST_OPACITIES, MOST_OPACITIES = 1, 3


class ChestLesion(StrEnum):
    """Kinds of opacity, in the order in which they are painted."""

    CONSOLIDATION = "consolidation"
    INFILTRATE = "infiltrate"


def paint_opacities(
    attenuation: Array, thorax: Thorax, options: PhantomOptions, rng: Rng
) -> Iterator[tuple[str, Array]]:
    """Paint 1 to 3 opacities into the lungs.

    Args:
        attenuation: Of the healthy patient, ``(size, size)``.
        thorax: Where the lungs are.
        options: Size and contrast of the opacities.
        rng: Source of number, kind, place and shape.

    Yields:
        A kind of opacity and the attenuation with all opacities painted so far, for the kinds that occur.
    """
    count = int(rng.integers(FEWEST_OPACITIES, MOST_OPACITIES + 1))
    dense = rng.uniform(size=count) < 0.45
    painters = {ChestLesion.CONSOLIDATION: int(dense.sum()), ChestLesion.INFILTRATE: int((~dense).sum())}
    spread = 1.25 / np.sqrt(count)
    for kind, number in painters.items():
        for _ in range(number):
            attenuation = attenuation + _opacity(kind, spread, thorax, options, rng)
        if number:
            yield kind, attenuation


def _opacity(kind: ChestLesion, spread: float, thorax: Thorax, options: PhantomOptions, rng: Rng) -> Array:
    """The attenuation that one opacity adds, ``(size, size)``."""
    centre = _place(thorax, rng)
    patch = draw_opacity(kind, thorax.size, centre, spread * options.lesion_size, rng)
    added = np.zeros((thorax.size, thorax.size), dtype=np.float32)
    added[patch.where] = options.lesion_contrast * patch.coverage
    return added * np.minimum(thorax.lungs, 1)


def draw_opacity(kind: ChestLesion, size: int, centre: tuple[float, float], scale: float, rng: Rng) -> Patch:
    """Draw one opacity: soft-edged, and clumpy as air is left in some of its alveoli.

    Args:
        kind: Consolidation, dense and rather sharp, or infiltrate, thin and vague.
        size: Height and width of the canvas in pixels.
        centre: x and y in unit coordinates.
        scale: Of its radius; at 1 about an eighth of the canvas.
        rng: Source of shape and texture.

    Returns:
        The window around it and the attenuation that it adds there.
    """
    radius = scale * rng.uniform(0.20, 0.30)
    radii = radius, radius * rng.uniform(0.65, 1.0)
    dense = kind is ChestLesion.CONSOLIDATION
    strength = rng.uniform(0.45, 0.75) if dense else rng.uniform(0.28, 0.5)
    patch = blob(rng, size, centre, radii, rng.uniform(0, np.pi), roughness=0.22, softness=0.7 if dense else 1.3)
    clumps = fractal_noise(rng, size, (14, 30), fall=0.7)[patch.where]
    uneven = np.clip(1 + (0.15 if dense else 0.45) * clumps, 0.15, None)
    return Patch(patch.rows, patch.columns, strength * patch.coverage * uneven)


def _place(thorax: Thorax, rng: Rng) -> tuple[float, float]:
    """A point of the canvas well inside a lung, more often low than high."""
    side = -1 if rng.uniform() < 0.5 else 1
    y = thorax.apex + (thorax.base - thorax.apex) * (0.22 + 0.5 * np.sqrt(rng.uniform()))
    outer = float(thorax.outer_edge(y))
    x = side * (0.16 + (outer - 0.16) * rng.uniform(0.3, 0.75))
    point = thorax.to_canvas(np.array([x, y]))
    return float(point[0]), float(point[1])
