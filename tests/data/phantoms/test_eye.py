from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms.eye import Eye
from softcam.data.phantoms.scene import Measures


@pytest.mark.parametrize("seed", range(8))
def test_fovea_lies_two_and_a_half_disc_diameters_to_the_temple(seed: int) -> None:
    eye = Eye.draw(Measures(np.random.default_rng(seed), 1.0))
    np.testing.assert_allclose(eye.to_canvas(eye.fovea_from_disc), eye.fovea, atol=1e-5)
    np.testing.assert_allclose(eye.to_canvas(np.zeros(2)), eye.disc, atol=1e-6)
    assert 1.8 < np.hypot(*(eye.fovea - eye.disc)) / (2 * eye.disc_radius) < 3.2


def test_left_and_right_eyes_are_equally_common() -> None:
    sides = [Eye.draw(Measures(np.random.default_rng(seed), 1.0)).disc[0] > 0 for seed in range(400)]
    assert np.mean(sides) == pytest.approx(0.5, abs=0.08)
