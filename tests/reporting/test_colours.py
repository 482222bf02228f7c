from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from softcam.errors import ConfigError
from softcam.reporting.colours import OPACITY, colour


@given(arrays(np.float32, array_shapes(max_dims=3, max_side=4), elements=st.floats(-50, 50, width=32)))
def test_evidence_and_its_negation_are_equally_opaque_and_of_opposite_hue(maps: np.ndarray) -> None:
    for_it, against = colour(maps, 10).astype(int), colour(-maps, 10).astype(int)
    assert for_it.shape == (*maps.shape, 4)
    assert (for_it[..., 3] == against[..., 3]).all()
    seen = for_it[..., 3] > 0
    redness = for_it[..., 0] - for_it[..., 2], against[..., 0] - against[..., 2]
    assert (np.sign(redness[0][seen]) == np.sign(maps[seen])).all()
    assert (np.sign(redness[1][seen]) == -np.sign(maps[seen])).all()


def test_no_evidence_is_transparent() -> None:
    assert colour(np.zeros(1), 3.0)[0, 3] == 0


def test_opacity_grows_with_evidence_up_to_the_limit_and_no_further() -> None:
    opacity = colour(np.linspace(0, 5, 101), 5.0)[:, 3].astype(int)
    assert (np.diff(opacity) > 0).all()
    assert opacity[-1] == round(255 * OPACITY)
    beyond = colour(np.array([5.0, 5.1, 1e6, np.inf]), 5.0)
    assert (beyond == beyond[0]).all()


def test_the_colour_depends_on_the_evidence_in_units_of_the_limit_only() -> None:
    maps = np.linspace(-3, 3, 50)
    assert (colour(maps, 2.0) == colour(10 * maps, 20.0)).all()


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_needs_a_limit(limit: float) -> None:
    with pytest.raises(ConfigError, match=f"limit is {limit}; it must be a number of logits above 0"):
        colour(np.zeros(1), limit)
