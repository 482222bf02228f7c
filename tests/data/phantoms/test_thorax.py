from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms.scene import Measures
from softcam.data.phantoms.thorax import Thorax


@pytest.mark.parametrize("seed", range(5))
def test_patient_and_canvas_coordinates_agree(seed: int) -> None:
    thorax = Thorax.draw(Measures(np.random.default_rng(seed), 1.0), 64)
    rows, columns = np.array([5, 30, 60]), np.array([40, 2, 33])
    patient = np.stack([thorax.x[rows, columns], thorax.y[rows, 0]], axis=1)
    pixels = (thorax.to_canvas(patient) + 1) * 32 - 0.5
    np.testing.assert_allclose(pixels, np.stack([columns, rows], axis=1), atol=1e-3)


def test_rib_cage_widens_from_apex_to_base() -> None:
    thorax = Thorax.draw(Measures(np.random.default_rng(0), 1.0), 64)
    edge = thorax.outer_edge(np.linspace(thorax.apex, thorax.base, 30))
    assert (np.diff(edge) > 0).all()
    assert edge[-1] == pytest.approx(thorax.half_width)
