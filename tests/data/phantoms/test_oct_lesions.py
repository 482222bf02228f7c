from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms import LESION_THRESHOLD, PhantomOptions
from softcam.data.phantoms.canvas import grid
from softcam.data.phantoms.oct import OCTScene

SIZE = 160
SEEDS = range(12)


def stages(kinds: list[str]) -> list[tuple[OCTScene, np.ndarray]]:
    """Eyes with just these kinds of lesion, and what the lesions changed, ``(SIZE, SIZE)``."""
    found = []
    for seed in SEEDS:
        eye = OCTScene(PhantomOptions(kind="oct", size=SIZE), np.random.default_rng(seed))
        images = dict(eye.with_lesions(np.random.default_rng(seed)))
        if list(images) == kinds:
            found.append((eye, (images[kinds[-1]] - eye.healthy)[0]))
    assert found
    return found


def test_cysts_are_dark_and_in_the_retina() -> None:
    _, y = grid(SIZE)
    for eye, step in stages(["cyst"]):
        assert step.max() < 0.05
        assert step.min() < -0.1
        outside = (y < eye.layers.ilm) | (y > eye.layers.ellipsoid)
        assert not step[outside].any()


def test_drusen_change_nothing_above_the_receptors_nor_in_the_choroid() -> None:
    _, y = grid(SIZE)
    for eye, step in stages(["drusen"]):
        changed = np.abs(step) > LESION_THRESHOLD
        assert not changed[(y < eye.layers.outer_nuclear) | (y > eye.layers.bruch + 0.02)].any()


@pytest.mark.parametrize("seed", range(3))
def test_painting_leaves_the_healthy_image_as_it_was(seed: int) -> None:
    eye = OCTScene(PhantomOptions(kind="oct", size=SIZE), np.random.default_rng(seed))
    before = eye.healthy.copy()
    list(eye.with_lesions(np.random.default_rng(seed)))
    np.testing.assert_array_equal(eye.healthy, before)
