from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms import PhantomOptions
from softcam.data.phantoms.canvas import grid
from softcam.data.phantoms.fundus import FundusScene

seeds = pytest.mark.parametrize("seed", range(6))


def scene(seed: int, size: int = 128) -> FundusScene:
    return FundusScene(PhantomOptions(kind="fundus", size=size), np.random.default_rng(seed))


@seeds
def test_outside_the_field_of_view_is_black(seed: int) -> None:
    eye = scene(seed)
    x, y = grid(128)
    outside = (np.hypot(x, y) > eye.eye.field_radius) | (np.abs(y) > eye.eye.flat + 0.02)
    assert not eye.healthy[:, outside].any()


@seeds
def test_disc_is_brighter_and_macula_darker_than_the_rest(seed: int) -> None:
    eye = scene(seed)
    x, y = grid(128)
    green = eye.healthy[1]
    near = {
        name: np.hypot(x - point[0], y - point[1]) < 0.07
        for name, point in (("disc", eye.eye.disc), ("fovea", eye.eye.fovea))
    }
    rest = np.median(green[np.hypot(x, y) < 0.8])
    assert green[near["fovea"]].mean() < rest < green[near["disc"]].mean()


@seeds
def test_retina_is_red_before_green_before_blue(seed: int) -> None:
    red, green, blue = scene(seed).healthy.mean(axis=(1, 2))
    assert red > green > blue
