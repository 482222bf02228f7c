from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn import metrics as reference

from softcam.metrics.curves import MAX_POINTS, auroc, average_precision, pr_curve, roc_curve


def scores_and_truth(count: int, decimals: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.random(count) < 0.4
    truth[:2] = True, False
    return (generator.normal(size=count) + truth).round(decimals), truth


@settings(deadline=None, max_examples=100, derandomize=True)
@given(count=st.integers(2, 60), decimals=st.integers(0, 6), seed=st.integers(0, 2**31))
def test_areas_and_points_agree_with_scikit_learn(count, decimals, seed) -> None:
    scores, truth = scores_and_truth(count, decimals, seed)
    assert auroc(scores, truth) == pytest.approx(reference.roc_auc_score(truth, scores))
    assert average_precision(scores, truth) == pytest.approx(reference.average_precision_score(truth, scores))
    roc, pr = roc_curve(scores, truth), pr_curve(scores, truth)
    false_rate, true_rate, _ = reference.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc.x, false_rate)
    np.testing.assert_allclose(roc.y, true_rate)
    precision, recall, _ = reference.precision_recall_curve(truth, scores)
    np.testing.assert_allclose(pr.x, recall[::-1])
    np.testing.assert_allclose(pr.y, precision[::-1])


@pytest.mark.parametrize("curve", [roc_curve, pr_curve])
def test_long_curves_are_thinned_but_keep_their_ends_and_area(curve) -> None:
    scores, truth = scores_and_truth(20_000, 6, 0)
    thinned = curve(scores, truth)
    assert MAX_POINTS / 2 < len(thinned.x) == len(thinned.y) <= MAX_POINTS
    assert (thinned.x[0], thinned.x[-1]) == (0, 1)
    assert list(thinned.x) == sorted(thinned.x)
    assert reference.auc(thinned.x, thinned.y) == pytest.approx(thinned.area, abs=2e-3)


@pytest.mark.parametrize("truth", [[True, True], [False, False], []])
def test_one_class_only_is_undefined_not_an_error(truth) -> None:
    scores, positive = np.linspace(0, 1, len(truth)), np.array(truth, dtype=bool)
    assert math.isnan(auroc(scores, positive))
    assert math.isnan(average_precision(scores, positive)) is not any(truth)
    assert roc_curve(scores, positive).x == ()
    assert (pr_curve(scores, positive).x == ()) is not any(truth)
