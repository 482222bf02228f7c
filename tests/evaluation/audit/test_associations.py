from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import spearmanr

from softcam.evaluation.audit.associations import (
    Association,
    Draws,
    corrected_level,
    correlations,
    separations,
    within_class_correlation,
)
from softcam.evaluation.audit.properties import PROPERTIES
from softcam.evaluation.audit.verdict import findings


@given(seed=st.integers(0, 1000), size=st.integers(6, 40), levels=st.integers(2, 30))
def test_it_is_spearman_within_the_labels(seed: int, size: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, levels, (2, size)).astype(float)
    truth = np.arange(size) % 3 == 0
    expected = 0.0
    for group in (truth, ~truth):
        if np.ptp(a[group]) and np.ptp(b[group]):
            expected += group.sum() * spearmanr(a[group], b[group]).statistic / size
    assert within_class_correlation(a, b, truth) == pytest.approx(expected, abs=1e-9)


def test_what_the_label_explains_is_taken_out() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(400) % 2 == 1
    a, b = rng.normal(size=(2, 400)) + 5 * truth
    assert abs(within_class_correlation(a, b, truth)) < 0.12
    assert spearmanr(a, b).statistic > 0.7


def test_intervals_hold_the_estimate_and_know_patients() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(60) % 2 == 1, 4)
    value = np.repeat(rng.normal(size=60) + truth[::4], 4)
    alone = [str(k) for k in range(240)]
    together = [str(k // 4) for k in range(240)]
    wide, narrow = (
        separations({"grain": value}, truth, patients, Draws(0.95, 400, 0))["grain"] for patients in (together, alone)
    )
    assert narrow.low <= narrow.estimate <= narrow.high
    assert wide.estimate == narrow.estimate
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    follow = correlations({"grain": value}, {"grain": -value}, truth, together, Draws(0.95, 100, 0))["grain"]
    assert [follow.estimate, follow.low, follow.high] == pytest.approx([-1] * 3)


def test_random_labels_raise_no_alarm_and_rarely_exclude_chance() -> None:
    """All intervals of an audit hold at once: chance is left out of any of them in about 1 of 20 audits."""
    names = list(PROPERTIES)[:8]
    level, excluded = corrected_level(len(names)), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.permutation(100) < 50
        columns = {name: rng.normal(size=100) for name in names}
        found = separations(columns, truth, [str(k) for k in range(100)], Draws(level, 300, seed))
        told = findings([Association(name, "sick", each) for name, each in found.items()], [])
        assert not told
        excluded += any(each.low > 0.5 or each.high < 0.5 for each in found.values())
    assert excluded <= 5  # binomial with p = .05: 99.9 % of draws; percentile intervals are a little short


def test_the_level_is_shared_by_all_tests() -> None:
    assert corrected_level(1) == pytest.approx(0.95)
    assert corrected_level(10) == pytest.approx(0.995)
