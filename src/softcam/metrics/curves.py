"""ROC and precision-recall of one score against one yes/no truth, from a single sort.

scikit-learn computes the same numbers and is the reference in the tests; its input checks cost ten times the
computation, which a bootstrap pays a thousand times over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 200


@dataclass(frozen=True)
class Curve:
    """A curve to draw.

    Attributes:
        x: False positive rate (ROC) or recall (PR), rising.
        y: True positive rate (ROC) or precision (PR).
        area: AUROC or average precision, from all points, not only those kept; NaN where it is not defined.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float


def auroc(scores: NDArray, positive: NDArray) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counted half.

    Args:
        scores: ``(N,)``, higher for positive.
        positive: ``(N,)``, bool.

    Returns:
        The area in [0, 1]; NaN unless there are both positives and negatives.

    Example:
        >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
        0.75
    """
    return areas(scores, positive)[0]


def average_precision(scores: NDArray, positive: NDArray) -> float:
    """Precision at each threshold, weighted by the recall gained there.

    Args:
        scores: ``(N,)``, higher for positive.
        positive: ``(N,)``, bool.

    Returns:
        The area in (0, 1]; NaN without positives.

    Example:
        >>> average_precision(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, True, False, True]))
        1.0
    """
    return areas(scores, positive)[1]


def areas(scores: NDArray, positive: NDArray) -> tuple[float, float]:
    """Return :func:`auroc` and :func:`average_precision` from one sort."""
    hits, falses = _counts_by_threshold(scores, positive)
    positives, negatives = hits[-1], falses[-1]
    if positives == 0:
        return np.nan, np.nan
    precision_gain = float(np.sum(np.diff(hits) * hits[1:] / (hits[1:] + falses[1:])) / positives)
    if negatives == 0:
        return np.nan, precision_gain
    doubled_area = np.sum(np.diff(falses) * (hits[1:] + hits[:-1]))
    return float(doubled_area / (2 * positives * negatives)), precision_gain


def roc_curve(scores: NDArray, positive: NDArray) -> Curve:
    """Return the ROC curve, thinned to what a figure can show.

    Args:
        scores: ``(N,)``, higher for positive.
        positive: ``(N,)``, bool.

    Returns:
        At most 200 points, evenly spread along the curve; none unless there are both positives and negatives.

    Example:
        >>> roc_curve(np.array([0.1, 0.9]), np.array([False, True]))
        Curve(x=(0.0, 0.0, 1.0), y=(0.0, 1.0, 1.0), area=1.0)
    """
    hits, falses = _counts_by_threshold(scores, positive)
    if hits[-1] == 0 or falses[-1] == 0:
        return Curve((), (), np.nan)
    return _thinned(falses / falses[-1], hits / hits[-1], auroc(scores, positive))


def pr_curve(scores: NDArray, positive: NDArray) -> Curve:
    """Return the precision-recall curve, thinned to what a figure can show.

    Args:
        scores: ``(N,)``, higher for positive.
        positive: ``(N,)``, bool.

    Returns:
        At most 200 points, the first at recall 0 and precision 1 by convention; none without positives.

    Example:
        >>> pr_curve(np.array([0.1, 0.9]), np.array([False, True]))
        Curve(x=(0.0, 1.0, 1.0), y=(1.0, 1.0, 0.5), area=1.0)
    """
    hits, falses = _counts_by_threshold(scores, positive)
    if hits[-1] == 0:
        return Curve((), (), np.nan)
    precision = np.append(1.0, hits[1:] / (hits[1:] + falses[1:]))
    return _thinned(hits / hits[-1], precision, average_precision(scores, positive))


def _counts_by_threshold(scores: NDArray, positive: NDArray) -> tuple[NDArray, NDArray]:
    """Count positives and negatives at or above each distinct score, from the highest down, both from 0."""
    order = np.argsort(-scores)
    descending = scores[order]
    ends_run = np.flatnonzero(np.diff(descending, append=-np.inf))
    hits = np.append(0, np.cumsum(positive[order])[ends_run])
    return hits, np.append(0, ends_run + 1) - hits


def _thinned(x: NDArray, y: NDArray, area: float) -> Curve:
    """Keep points that are evenly spread along the curve, its two ends included."""
    if len(x) > MAX_POINTS:
        length = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
        kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], MAX_POINTS)).clip(max=len(x) - 1))
        kept[-1] = len(x) - 1
        x, y = x[kept], y[kept]
    return Curve(tuple(x.tolist()), tuple(y.tolist()), area)
