from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms import PhantomOptions
from softcam.data.phantoms.canvas import grid
from softcam.data.phantoms.fundus import FundusScene

seeds = pytest.mark.parametrize("seed", range(6))


def scene(seed: int) -> FundusScene:
    return FundusScene(PhantomOptions(kind="fundus", size=128), np.random.default_rng(seed))


@seeds
def test_blood_darkens_and_deposits_brighten(seed: int) -> None:
    eye = scene(seed)
    for index in range(8):
        previous = eye.healthy
        for kind, image in eye.with_lesions(np.random.default_rng(index)):
            step = image - previous
            if kind in ("haemorrhage", "microaneurysm"):
                assert step.max() <= 1e-6
            else:
                assert step.min() >= -1e-6
            previous = image


@seeds
def test_every_diseased_eye_has_a_haemorrhage_or_exudates(seed: int) -> None:
    kinds = {kind for kind, _ in scene(0).with_lesions(np.random.default_rng(seed))}
    assert kinds & {"haemorrhage", "exudate"}


@seeds
def test_lesions_stay_inside_the_field_of_view(seed: int) -> None:
    eye = scene(seed)
    *_, (_, last) = eye.with_lesions(np.random.default_rng(seed))
    changed = np.abs(last - eye.healthy).max(axis=0) > 0
    assert not (changed & (eye.field_of_view == 0)).any()


def test_exudates_leave_the_disc_free() -> None:
    x, y = grid(128)
    for seed in range(20):
        eye = scene(seed)
        stages = dict(eye.with_lesions(np.random.default_rng(seed)))
        disc = np.hypot(x - eye.eye.disc[0], y - eye.eye.disc[1]) < eye.eye.disc_radius
        if list(stages) and next(iter(stages)) == "exudate":
            assert not (np.abs(stages["exudate"] - eye.healthy).max(axis=0) > 0)[disc].any()


def test_painting_leaves_the_healthy_image_as_it_was() -> None:
    eye = scene(0)
    before = eye.healthy.copy()
    list(eye.with_lesions(np.random.default_rng(0)))
    np.testing.assert_array_equal(eye.healthy, before)
