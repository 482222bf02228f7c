"""DeLong's test: do two scores of the same images differ in AUROC? In closed form, without resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from softcam.errors import DataError


@dataclass(frozen=True)
class DeLongTest:
    """Two AUROCs of the same images, compared.

    Attributes:
        auroc_a: AUROC of the first score.
        auroc_b: AUROC of the second score.
        standard_error: Standard error of their difference.
        z: Difference over its standard error; 0 where the two never differ.
        p_value: Two-sided.
    """

    auroc_a: float
    auroc_b: float
    standard_error: float
    z: float
    p_value: float


def delong_test(scores_a: ArrayLike, scores_b: ArrayLike, positive: ArrayLike) -> DeLongTest:
    """Test whether two scores have the same AUROC.

    The images are taken as independent. With several images per patient use
    :func:`softcam.metrics.bootstrap.paired_difference` with ``groups``.

    DeLong, DeLong & Clarke-Pearson 1988, https://doi.org/10.2307/2531595; computed by midranks after Sun & Xu
    2014, https://doi.org/10.1109/LSP.2014.2337313.

    Args:
        scores_a: ``(N,)``, higher for positive.
        scores_b: ``(N,)``, of the same images.
        positive: ``(N,)``, bool.

    Returns:
        Both AUROCs, the standard error of their difference, and the p-value.

    Raises:
        DataError: If the lengths differ, a score is not finite, or there are not two positives and two
            negatives.

    Example:
        >>> truth = np.array([False, False, False, True, True, True])
        >>> test = delong_test([1, 2, 4, 3, 5, 6], [1, 3, 5, 2, 4, 6], truth)
        >>> round(test.auroc_a, 3), round(test.auroc_b, 3), round(test.p_value, 3)
        (0.889, 0.667, 0.157)
    """
    scores, truth = _checked(scores_a, scores_b, positive)
    above, below = _placements(scores, truth)
    auroc_a, auroc_b = above.mean(axis=1).tolist()
    covariance = np.cov(above) / above.shape[1] + np.cov(below) / below.shape[1]
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    standard_error = math.sqrt(max(float(variance), 0.0))
    z = _standardized(auroc_a - auroc_b, standard_error)
    return DeLongTest(auroc_a, auroc_b, standard_error, z, float(2 * norm.sf(abs(z))))


def _placements(scores: NDArray, truth: NDArray) -> tuple[NDArray, NDArray]:
    """Return the share of negatives below each positive (2, P), and of positives above each negative (2, M)."""
    ranks = rankdata(scores, axis=1)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    above = (ranks[:, truth] - rankdata(scores[:, truth], axis=1)) / negatives
    below = 1 - (ranks[:, ~truth] - rankdata(scores[:, ~truth], axis=1)) / positives
    return above, below


def _standardized(difference: float, standard_error: float) -> float:
    if difference == 0:
        return 0.0
    return difference / standard_error if standard_error > 0 else math.copysign(math.inf, difference)


def _checked(scores_a: ArrayLike, scores_b: ArrayLike, positive: ArrayLike) -> tuple[NDArray, NDArray]:
    a, b = np.asarray(scores_a, dtype=np.float64), np.asarray(scores_b, dtype=np.float64)
    truth = np.asarray(positive, dtype=bool)
    if not a.shape == b.shape == truth.shape or a.ndim != 1:
        raise DataError(
            f"DeLong's test needs two scores and one truth of the same images (N,), got {a.shape}, {b.shape} and "
            f"{truth.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("DeLong's test needs finite scores: leave out images without a prediction")
    if min(truth.sum(), (~truth).sum()) < 2:
        raise DataError("DeLong's test needs at least two positive and two negative images")
    return np.stack([a, b]), truth
