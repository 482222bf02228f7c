from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms import PhantomOptions
from softcam.data.phantoms.canvas import grid
from softcam.data.phantoms.oct import OCTScene

seeds = pytest.mark.parametrize("seed", range(6))


def scene(seed: int) -> OCTScene:
    return OCTScene(PhantomOptions(kind="oct", size=160), np.random.default_rng(seed))


@seeds
def test_vitreous_is_dark_and_the_pigment_epithelium_the_brightest(seed: int) -> None:
    eye = scene(seed)
    _, y = grid(160)
    image = eye.healthy[0]
    rows = image.argmax(axis=0)
    brightest = y[rows, 0]
    on_band = (brightest > eye.layers.ellipsoid[0] - 0.03) & (brightest < eye.layers.bruch[0] + 0.03)
    assert on_band.mean() > 0.95
    assert np.median(image[y < eye.layers.ilm - 0.1]) < 0.06


@seeds
def test_retina_is_thinnest_at_the_fovea(seed: int) -> None:
    eye = scene(seed)
    x, _ = grid(160)
    thickness = (eye.layers.bruch - eye.layers.ilm)[0]
    assert abs(x[0, thickness.argmin()] - eye.fovea) < 0.1
