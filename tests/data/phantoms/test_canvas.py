from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from softcam.data.phantoms import canvas

HORIZONTAL = np.array([[[-2.0, 0.03], [2.0, 0.03]]])


@pytest.mark.parametrize(("size", "cells"), [(64, 1), (64, 10), (100, 33), (64, 90)])
def test_smooth_noise_has_unit_variance_at_every_pixel(size: int, cells: int) -> None:
    basis = canvas._spline_basis(size, cells).toarray()
    np.testing.assert_allclose(np.square(basis).sum(axis=1), 1, atol=1e-5)


def test_smooth_noise_is_one_field_at_every_size() -> None:
    small, large = (canvas.smooth_noise(np.random.default_rng(3), size, (4, 7)) for size in (64, 192))
    np.testing.assert_allclose(large[1::3, 1::3], small, atol=1e-5)


def test_fractal_noise_has_unit_variance() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([canvas.fractal_noise(rng, 64, (8, 16, 32)) for _ in range(200)])
    assert fields.std() == pytest.approx(1, abs=0.03)
    assert fields.mean() == pytest.approx(0, abs=0.03)


def test_ramp_is_a_soft_step() -> None:
    distance = np.array([-1, -0.05, 0, 0.05, 1], dtype=np.float32)
    np.testing.assert_allclose(canvas.ramp(distance, 0.1), [0, 0, 0.5, 1, 1])


def test_bump_ends_exactly_at_its_radius() -> None:
    np.testing.assert_array_equal(canvas.bump(np.array([0.0, 1.0, 2.0])), [1, 0, 0])


@given(radius=st.floats(0.25, 6), size=st.integers(64, 160))
@settings(max_examples=25, deadline=None)
def test_stroke_covers_its_width_whether_thick_or_thinner_than_a_pixel(radius: float, size: int) -> None:
    radii = np.full((1, 2), radius * 2 / size)
    per_column = canvas.draw_strokes(size, HORIZONTAL, radii)[:, size // 2 - 20 : size // 2 + 20].sum(axis=0)
    assert per_column.mean() == pytest.approx(2 * radius, rel=0.25)


def test_stroke_goes_on_to_the_border() -> None:
    drawn = canvas.draw_strokes(64, HORIZONTAL / 1.9, np.full((1, 2), 0.1))
    np.testing.assert_allclose(drawn[:, [0, -1]].sum(axis=0), drawn[:, 32].sum(), rtol=0.05)


def test_strokes_that_cross_do_not_add_up() -> None:
    twice = np.concatenate([HORIZONTAL, HORIZONTAL])
    one, two = (canvas.draw_strokes(64, lines, np.full((len(lines), 2), 0.1)) for lines in (HORIZONTAL, twice))
    np.testing.assert_array_equal(one, two)


def test_stroke_of_no_width_draws_nothing() -> None:
    assert not canvas.draw_strokes(64, HORIZONTAL, np.zeros((1, 2))).any()


@pytest.mark.parametrize("size", [64, 200, 600])
def test_band_covers_its_width(size: int) -> None:
    drawn = canvas.draw_bands(size, HORIZONTAL, np.full((1, 2), 0.1))
    assert drawn.shape == (size, size)
    np.testing.assert_allclose(drawn.sum(axis=0), 0.1 * size, rtol=0.12)


@given(
    radii=st.tuples(st.floats(0.02, 0.4), st.floats(0.02, 0.4)),
    angle=st.floats(-4, 4),
    size=st.integers(64, 200),
)
@settings(max_examples=30, deadline=None)
def test_smooth_blob_has_the_area_of_its_ellipse(radii: tuple[float, float], angle: float, size: int) -> None:
    assume(min(radii) * size / 2 >= 1.5)  # thinner ones are a matter of where the pixels lie
    patch = canvas.blob(np.random.default_rng(0), size, (0.1, -0.2), radii, angle, roughness=0, softness=0.1)
    pixels = np.pi * radii[0] * radii[1] * (size / 2) ** 2
    assert patch.coverage.sum() == pytest.approx(pixels, rel=0.12, abs=1.5)
    assert patch.coverage.max() <= 1


@given(x=st.floats(-3, 3), y=st.floats(-3, 3), roughness=st.floats(0, 0.3))
@settings(max_examples=40, deadline=None)
def test_blob_fits_its_window_anywhere(x: float, y: float, roughness: float) -> None:
    patch = canvas.blob(np.random.default_rng(1), 64, (x, y), (0.3, 0.2), roughness=roughness)
    whole = np.zeros((64, 64))
    assert whole[patch.where].shape == patch.coverage.shape


@pytest.mark.parametrize("seed", range(5))
def test_blob_is_zero_on_the_border_of_its_window(seed: int) -> None:
    coverage = canvas.blob(np.random.default_rng(seed), 256, (0, 0), (0.2, 0.1), 0.4, roughness=0.2).coverage
    assert coverage.max() == pytest.approx(1, abs=0.01)
    assert not coverage[[0, -1]].any()
    assert not coverage[:, [0, -1]].any()
