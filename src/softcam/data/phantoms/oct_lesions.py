"""Macular disease in a B-scan: drusen, subretinal fluid, cysts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

import numpy as np

from softcam.data.phantoms.canvas import Array, Rng, blob, bump, grid, ramp
from softcam.data.phantoms.options import PhantomOptions
from softcam.data.phantoms.retina_layers import Boundaries

FEWEST_DRUSEN, MOST_DRUSEN = 3, 8
FEWEST_CYSTS, MOST_CYSTS = 5, 12


class OCTLesion(StrEnum):
    """Kinds of lesion, in the order in which they are painted."""

    DRUSEN = "drusen"
    SUBRETINAL_FLUID = "subretinal_fluid"
    CYST = "cyst"


_PATTERNS: tuple[tuple[float, frozenset[OCTLesion]], ...] = (
    (0.50, frozenset({OCTLesion.DRUSEN})),
    (0.25, frozenset({OCTLesion.CYST})),
    (0.15, frozenset({OCTLesion.CYST, OCTLesion.SUBRETINAL_FLUID})),
    (0.10, frozenset({OCTLesion.DRUSEN, OCTLesion.SUBRETINAL_FLUID})),
)


def paint_lesions(
    scan: Callable[[Boundaries], Array], layers: Boundaries, fovea: float, options: PhantomOptions, rng: Rng
) -> Iterator[tuple[str, Array]]:
    """Paint the lesions of one pattern of disease.

    Drusen come 3 to 8 at a time, cysts 5 to 12, subretinal fluid as one pocket.

    Args:
        scan: Draws the clean image of the eye, ``(1, size, size)``, for changed layers.
        layers: The layers of the healthy eye.
        fovea: x of the fovea.
        options: Size and contrast of the lesions.
        rng: Source of the pattern, and of number, place and shape.

    Yields:
        A kind of lesion and the clean image with all lesions painted so far, for the kinds that occur.
    """
    kinds = _PATTERNS[int(rng.choice(len(_PATTERNS), p=[share for share, _ in _PATTERNS]))][1]
    if OCTLesion.DRUSEN in kinds:
        layers = layers.with_drusen(_fitting(_drusen_lift(options, rng), layers))
        yield OCTLesion.DRUSEN, scan(layers)
    if OCTLesion.SUBRETINAL_FLUID in kinds:
        layers = layers.with_fluid(_fitting(_pocket_lift(fovea, options, rng), layers))
        yield OCTLesion.SUBRETINAL_FLUID, scan(layers)
    if OCTLesion.CYST in kinds:
        yield OCTLesion.CYST, _with_cysts(scan(layers), layers, fovea, options, rng)


def _drusen_lift(options: PhantomOptions, rng: Rng) -> Array:
    """How far drusen raise the pigment epithelium, ``(1, size)``."""
    x, _ = grid(options.size)
    lift = np.zeros_like(x)
    for _ in range(int(rng.integers(FEWEST_DRUSEN, MOST_DRUSEN + 1))):
        place = np.float32(rng.uniform(-0.85, 0.85))
        width = np.float32(options.lesion_size * rng.uniform(0.06, 0.13))
        height = options.lesion_size * options.lesion_contrast * rng.uniform(0.05, 0.12)
        lift = np.maximum(lift, np.float32(height) * bump(np.square((x - place) / width)))
    return lift


def _pocket_lift(fovea: float, options: PhantomOptions, rng: Rng) -> Array:
    """How far subretinal fluid raises the retina, ``(1, size)``."""
    x, _ = grid(options.size)
    place = np.float32(fovea + rng.uniform(-0.25, 0.25))
    width = np.float32(options.lesion_size * rng.uniform(0.22, 0.38))
    height = options.lesion_size * options.lesion_contrast * rng.uniform(0.05, 0.10)
    return np.float32(height) * np.sqrt(bump(np.square((x - place) / width)))


def _fitting(lift: Array, layers: Boundaries) -> Array:
    """A lift that grows with what is asked for, but not through the layer of the receptors' nuclei."""
    room = 0.95 * (layers.limiting - layers.outer_nuclear)
    return room * np.tanh(lift / room)


def _with_cysts(image: Array, layers: Boundaries, fovea: float, options: PhantomOptions, rng: Rng) -> Array:
    """Dark, round holes in the nuclear layers around the fovea."""
    _, y = grid(options.size)
    room = ramp(y - layers.ganglion - 0.03, 0.03) * ramp(layers.limiting - y - 0.01, 0.03)
    centre = fovea + rng.uniform(-0.3, 0.3)
    for _ in range(int(rng.integers(FEWEST_CYSTS, MOST_CYSTS + 1))):
        place = float(np.clip(centre + rng.normal(0, 0.2), -0.95, 0.95))
        column = min(int((place + 1) * options.size / 2), options.size - 1)
        top, bottom = float(layers.inner_nuclear[0, column]), float(layers.limiting[0, column])
        height = float(top + (bottom - top) * rng.uniform(0.2, 0.75))
        radius = options.lesion_size * rng.uniform(0.04, 0.085)
        radii = radius * rng.uniform(0.6, 1.0), radius
        patch = blob(rng, options.size, (place, height), radii, roughness=0.08, softness=0.3)
        depth = np.clip(options.lesion_contrast * 0.9 * patch.coverage, 0, 1) * room[patch.where]
        part = image[(slice(None), *patch.where)]
        part += (0.03 - part) * depth
    return image
