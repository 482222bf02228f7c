from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from softcam.errors import DataError
from softcam.metrics.bootstrap import bootstrap_interval, paired_difference
from softcam.metrics.curves import auroc
from softcam.metrics.delong import delong_test


def by_definition(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs and their covariance from the kernel ψ, as written in DeLong et al. 1988."""
    positives, negatives = scores[:, truth], scores[:, ~truth]
    psi = (positives[:, :, None] > negatives[:, None]) + 0.5 * (positives[:, :, None] == negatives[:, None])
    of_positives, of_negatives = psi.mean(axis=2), psi.mean(axis=1)
    areas = psi.mean(axis=(1, 2))
    s10 = (of_positives - areas[:, None]) @ (of_positives - areas[:, None]).T / (positives.shape[1] - 1)
    s01 = (of_negatives - areas[:, None]) @ (of_negatives - areas[:, None]).T / (negatives.shape[1] - 1)
    return areas, s10 / positives.shape[1] + s01 / negatives.shape[1]


def test_by_hand() -> None:
    """The placements differ by (1/3, 1/3, 0) and (0, 1/3, 1/3): variances 1/27 each, standard error √2/9, z = √2."""
    truth = np.array([False, False, False, True, True, True])
    test = delong_test([1, 2, 4, 3, 5, 6], [1, 3, 5, 2, 4, 6], truth)
    assert (test.auroc_a, test.auroc_b) == pytest.approx((8 / 9, 6 / 9))
    assert test.standard_error == pytest.approx(math.sqrt(2) / 9)
    assert test.z == pytest.approx(math.sqrt(2))
    assert test.p_value == pytest.approx(2 * norm.sf(math.sqrt(2)))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(count=st.integers(6, 50), decimals=st.integers(0, 4), seed=st.integers(0, 2**31))
def test_agrees_with_the_definition_ties_included(count, decimals, seed) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.random(count) < 0.5
    truth[:4] = True, True, False, False
    scores = (generator.normal(size=(2, count)) + truth).round(decimals)
    areas, covariance = by_definition(scores, truth)
    test = delong_test(*scores, truth)
    assert (test.auroc_a, test.auroc_b) == pytest.approx(tuple(areas))
    assert test.auroc_a == pytest.approx(roc_auc_score(truth, scores[0]))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert test.standard_error**2 == pytest.approx(variance, abs=1e-9)


def test_agrees_with_the_bootstrap() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(600) < 0.5
    shared = generator.normal(size=600)
    a, b = (shared + 0.7 * truth + 0.7 * generator.normal(size=600) for _ in range(2))
    test = delong_test(a, b, truth)
    difference = paired_difference(auroc, [a, truth], [b, truth], resamples=2000)
    assert difference.estimate == pytest.approx(test.auroc_a - test.auroc_b)
    assert difference.high - difference.low == pytest.approx(2 * norm.ppf(0.975) * test.standard_error, rel=0.08)
    unpaired = bootstrap_interval(auroc, [a, truth])
    assert difference.high - difference.low < unpaired.high - unpaired.low


def test_scores_in_the_same_order_do_not_differ() -> None:
    truth = np.array([True, False, True, False])
    test = delong_test([4, 3, 2, 1], [40, 30, 20, 10], truth)
    assert (test.z, test.p_value) == (0, 1)


def test_perfect_against_worst_has_no_variance() -> None:
    truth = np.array([True, True, False, False])
    test = delong_test([4, 3, 2, 1], [1, 2, 3, 4], truth)
    assert (test.auroc_a, test.auroc_b, test.z, test.p_value) == (1, 0, math.inf, 0)


@pytest.mark.parametrize(
    ("a", "b", "truth", "message"),
    [
        ([1, 2, 3], [1, 2, 3, 4], [0, 1, 0, 1], r"same images \(N,\), got \(3,\), \(4,\) and \(4,\)"),
        ([1, 2, 3, math.nan], [1, 2, 3, 4], [0, 1, 0, 1], "finite scores"),
        ([1, 2, 3, 4], [1, 2, 3, 4], [0, 0, 0, 1], "at least two positive and two negative"),
    ],
)
def test_bad_input_is_one_sentence(a, b, truth, message) -> None:
    with pytest.raises(DataError, match=message):
        delong_test(a, b, truth)
