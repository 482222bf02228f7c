"""The vessels that fan out from the hilum of each lung."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from softcam.data.phantoms.canvas import Array, Rng, draw_strokes
from softcam.data.phantoms.scene import Measures
from softcam.data.phantoms.thorax import Thorax
from softcam.data.phantoms.vessels import VERTICES, Paths, join, sprout

_TRUNKS = 7


def draw_lung_vessels(measures: Measures, thorax: Thorax) -> Array:
    """Draw the vessels of both lungs.

    Args:
        measures: Source of their course and calibre.
        thorax: Where the lungs are.

    Returns:
        What they take from the beam, ``(size, size)``.
    """
    calibre, density = measures.between(0.8, 1.2), measures.between(0.12, 0.22)
    trunks = join(*(_trunks(measures.rng, side, calibre) for side in (-1, 1)))
    twigs = sprout(measures.rng, trunks, 6, length=(0.2, 0.5), thinner=(0.45, 0.75))
    tree = join(trunks, twigs)
    drawn = draw_strokes(thorax.size, thorax.to_canvas(tree.points), tree.radii * thorax.pose[0])
    visible = np.minimum(0.25 * thorax.heart + thorax.lungs, 1)
    blurred: Array = gaussian_filter(drawn, 0.4 + thorax.size / 512, truncate=3)
    return density * blurred * visible


def _trunks(rng: Rng, side: int, calibre: float) -> Paths:
    angle = np.linspace(-1.25, 1.35, _TRUNKS) + rng.normal(0, 0.12, _TRUNKS)
    reach = rng.uniform(0.40, 0.62, _TRUNKS) * (0.75 + 0.25 * np.sin(np.abs(angle)))
    r = np.linspace(0, 1, VERTICES)[None, :] * reach[:, None]
    restless = 0.015 * np.cumsum(rng.standard_normal(r.shape), axis=1)
    bend = angle[:, None] + rng.normal(0, 0.5, (_TRUNKS, 1)) * r + restless
    x = 0.15 + r * np.cos(bend)
    y = -0.04 + rng.normal(0, 0.03, (_TRUNKS, 1)) + r * np.sin(bend)
    radii = calibre * rng.uniform(0.014, 0.024, (_TRUNKS, 1)) * np.linspace(1, 0.15, VERTICES) ** 1.3
    return Paths(np.stack([side * x, y], axis=2), radii)
