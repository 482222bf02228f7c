from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms import PhantomOptions
from softcam.data.phantoms.chest import ChestScene

seeds = pytest.mark.parametrize("seed", range(6))


def scene(seed: int) -> ChestScene:
    return ChestScene(PhantomOptions(kind="chest", size=128), np.random.default_rng(seed))


@seeds
def test_lungs_are_dark_and_heart_and_abdomen_bright(seed: int) -> None:
    patient = scene(seed)
    film, thorax = patient.healthy[0], patient.thorax
    lungs = film[thorax.lungs > 0.95].mean()
    assert film[thorax.body < 0.01].mean() < lungs
    assert lungs + 0.15 < film[thorax.heart > 0.5].mean()
    assert lungs + 0.15 < film[thorax.abdomen > 0.8].mean()


@seeds
def test_both_lungs_are_there_and_of_lifelike_size(seed: int) -> None:
    thorax = scene(seed).thorax
    right, left = (float(thorax.lungs[half].mean()) for half in (thorax.x < 0, thorax.x > 0))
    assert 0.18 < min(left, right) < max(left, right) < 0.55
    assert left == pytest.approx(right, rel=0.3)


def test_film_is_brighter_where_more_is_absorbed() -> None:
    film = scene(0).expose(np.linspace(0, 4, 50, dtype=np.float32)[None])
    assert (np.diff(film[0, 0]) > 0).all()
    assert 0 <= film.min() <= film.max() <= 1
