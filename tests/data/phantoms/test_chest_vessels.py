from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms.chest_vessels import draw_lung_vessels
from softcam.data.phantoms.scene import Measures
from softcam.data.phantoms.thorax import Thorax


@pytest.mark.parametrize("seed", range(4))
def test_vessels_fill_the_lungs_from_the_hilum_outwards(seed: int) -> None:
    measures = Measures(np.random.default_rng(seed), 1.0)
    thorax = Thorax.draw(measures, 128)
    vessels = draw_lung_vessels(measures, thorax)
    assert not vessels[(thorax.lungs == 0) & (thorax.heart == 0)].any()
    lung = thorax.lungs > 0.5
    hilum = lung & (np.abs(thorax.x) < 0.35) & (np.abs(thorax.y) < 0.2)
    edge = lung & (np.abs(thorax.x) > 0.55)
    assert vessels[hilum].mean() > 2 * vessels[edge].mean() > 0
