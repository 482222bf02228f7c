from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from softcam.data.phantoms import LESION_THRESHOLD, PhantomOptions
from softcam.data.phantoms.chest import ChestScene


@pytest.mark.parametrize("seed", range(6))
def test_opacities_brighten_the_lungs_only(seed: int) -> None:
    patient = ChestScene(PhantomOptions(kind="chest", size=128), np.random.default_rng(seed))
    *_, (_, last) = patient.with_lesions(np.random.default_rng(seed))
    step = (last - patient.healthy)[0]
    assert step.min() >= -1e-6
    assert not step[patient.thorax.lungs == 0].any()
    assert step.max() > 0.05


def test_opacities_are_broad_and_not_specks() -> None:
    patient = ChestScene(PhantomOptions(kind="chest", size=128), np.random.default_rng(0))
    for seed in range(10):
        *_, (_, last) = patient.with_lesions(np.random.default_rng(seed))
        parts, _ = label(np.abs(last - patient.healthy)[0] > LESION_THRESHOLD)
        assert 0.01 < np.bincount(parts.ravel())[1:].max() / parts.size < 0.2
