from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.evaluation.comparison.conftest import record

from softcam.evaluation.comparison.records import Record
from softcam.evaluation.comparison.statistics import Column, Draws, bounds, curve_means, differences, holm, means

DRAWS = Draws(np.arange(40), resamples=300)


def column(values: np.ndarray) -> Column:
    return Column(values, np.full(len(values), 0.25), np.full(len(values), 0.75))


def test_a_column_has_nan_where_an_image_has_no_score() -> None:
    records = {0: record("a", 0, x=0.5), 2: Record("a", 2, error="failed"), 3: record("a", 3, y=1.0)}
    found = Column.of("x", records, 4)
    np.testing.assert_array_equal(found.values, [0.5, math.nan, math.nan, math.nan])
    assert found.images == 1


def test_means_and_bounds_are_of_the_images_that_have_the_score() -> None:
    values = np.array([1.0, math.nan, 0.0, 0.5] * 10)
    found = Column(values, np.arange(40.0), np.where(np.isnan(values), 9.0, 1.0))
    interval = means({"x": found}, DRAWS)["x"]
    assert interval.estimate == 0.5
    assert interval.low < 0.5 < interval.high
    assert bounds(found) == (np.arange(40.0)[~np.isnan(values)].mean(), 1.0)
    assert means({}, DRAWS) == {}


def test_patients_are_drawn_not_images() -> None:
    values = np.repeat([0.0, 1.0], 20)
    by_image = means({"x": column(values)}, DRAWS)["x"]
    by_patient = means({"x": column(values)}, Draws(np.repeat([0, 1], 20), resamples=300))["x"]
    assert (by_patient.low, by_patient.high) == (0.0, 1.0)
    assert by_image.low > 0.2


def test_a_difference_is_of_the_images_that_both_have() -> None:
    noise = np.random.default_rng(0).normal(size=40)
    better, worse = noise + 0.1, noise.copy()
    worse[:5], better[-5:] = math.nan, math.nan
    found = differences({"x": column(better), "y": column(noise)}, {"x": column(worse)}, DRAWS)
    assert list(found) == ["x"]
    assert found["x"].estimate == pytest.approx(0.1)
    assert found["x"].low == pytest.approx(0.1)
    assert found["x"].p_value == pytest.approx(2 / 301)
    assert differences({"y": column(noise)}, {"x": column(worse)}, DRAWS) == {}


def test_the_mean_curve_has_an_interval_at_each_point() -> None:
    curves = [None if index % 4 == 0 else (1.0, index % 2) for index in range(40)]
    first, second = curve_means(curves, DRAWS)
    assert (first.estimate, first.low, first.high) == (1.0, 1.0, 1.0)
    assert second.estimate == pytest.approx(20 / 30)
    assert second.low < second.estimate < second.high
    assert curve_means([None, None], Draws(np.arange(2))) == ()


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, math.nan, 0.7])[::2] == [1.0, 1.0]
    assert math.isnan(holm([0.6, math.nan])[1])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_value_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, corrected in zip(p_values, adjusted, strict=True):
        assert p <= corrected <= min(1.0, p * len(p_values)) + 1e-12
    ranked = [corrected for _, corrected in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
