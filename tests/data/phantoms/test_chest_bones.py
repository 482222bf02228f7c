from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from softcam.data.phantoms.chest_bones import Skeleton
from softcam.data.phantoms.scene import Measures
from softcam.data.phantoms.thorax import Thorax


def patient(variation: float, seed: int = 0) -> tuple[Thorax, Skeleton]:
    measures = Measures(np.random.default_rng(seed), variation)
    return Thorax.draw(measures, 192), Skeleton.draw(measures)


def test_both_sides_mirror_each_other_in_a_mean_patient() -> None:
    thorax, skeleton = patient(variation=0)
    straight = replace(thorax, pose=(1.0, 0.0, 0.0, 0.0))
    bones = skeleton.attenuation(straight)[:, 24:-24]
    assert np.corrcoef(bones.ravel(), bones[:, ::-1].ravel())[0, 1] > 0.97


@pytest.mark.parametrize("seed", range(4))
def test_a_dozen_ribs_cross_each_lung(seed: int) -> None:
    thorax, skeleton = patient(variation=1, seed=seed)
    for side in (-1, 1):
        column = int((thorax.to_canvas(np.array([side * 0.4, 0.0]))[0] + 1) * 96)
        profile = skeleton.attenuation(thorax)[:, column] > 0.5 * skeleton.density
        crossings = np.count_nonzero(np.diff(profile.astype(int)) == 1)
        assert 7 <= crossings <= 22
