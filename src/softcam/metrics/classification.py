"""How well the probabilities agree with the truth.

Everything follows from one confusion matrix and one sort per class, in plain numpy: the bootstrap calls
:func:`classification_metrics` a thousand times. The tests hold each number against scikit-learn or
torchmetrics.

A metric that the data do not define is NaN, never an exception and never a made-up number: AUROC of a test
set in which only one class occurs, sensitivity without a positive image. Means over classes or labels leave
such a class out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from softcam.errors import ConfigError, DataError
from softcam.metrics.bootstrap import nan_mean
from softcam.metrics.curves import areas, auroc

CALIBRATION_BINS = 15


class Direction(StrEnum):
    """Which way a metric gets better."""

    HIGHER = "higher"
    LOWER = "lower"

    def improves(self, value: float, best: float) -> bool:
        """Say whether ``value`` is better than ``best``; NaN never is, and anything is better than NaN."""
        if math.isnan(value) or math.isnan(best):
            return not math.isnan(value)
        return value > best if self is Direction.HIGHER else value < best


METRICS: Mapping[str, Direction] = MappingProxyType(
    {
        "accuracy": Direction.HIGHER,
        "balanced_accuracy": Direction.HIGHER,
        "auroc": Direction.HIGHER,
        "auprc": Direction.HIGHER,
        "sensitivity": Direction.HIGHER,
        "specificity": Direction.HIGHER,
        "kappa": Direction.HIGHER,
        "ece": Direction.LOWER,
    }
)
"""The names that :func:`classification_metrics` returns, in the order of tables, with their direction."""


def classification_metrics(probabilities: ArrayLike, targets: ArrayLike, task: str) -> dict[str, float]:
    """Score predicted probabilities.

    ======================  =========================================================================================
    ``accuracy``            share of right decisions (of single yes/no decisions in the multi-label task)
    ``balanced_accuracy``   mean recall of the classes that occur
    ``auroc``, ``auprc``    area under the ROC curve; average precision; one class against the rest
    ``sensitivity``         recall of the positive class
    ``specificity``         recall of the rest
    ``kappa``               Cohen's kappa, disagreement weighted by the squared distance of the classes (grades)
    ``ece``                 expected calibration error of the decided class, 15 bins of equal width (Guo et al. 2017)
    ======================  =========================================================================================

    Two classes, whether one output or two, are scored alike: class 1 is the positive one, decided at a
    probability above .5. With more classes, AUROC, AUPRC, sensitivity and specificity are means over the
    classes, each against the rest. In the multi-label task every metric is the mean over the labels, each
    scored as a two-class task.

    Args:
        probabilities: ``(N, K)``, or ``(N,)`` for the binary task, in [0, 1].
        targets: Class indices ``(N,)`` for ``multiclass``; 0 or 1, ``(N,)`` or ``(N, 1)``, for ``binary``,
            ``(N, K)`` for ``multilabel``.
        task: ``"multiclass"``, ``"binary"`` or ``"multilabel"``, or a ``softcam.Task``.

    Returns:
        A value for each name in :data:`METRICS`; NaN where the data do not define it.

    Raises:
        DataError: If there are no images, the shapes do not go together, a probability is outside [0, 1] or
            not finite, or a target is not a class.
        ConfigError: If the task has another name.

    Example:
        >>> scores = classification_metrics([[0.9], [0.4], [0.6], [0.8]], [0, 0, 1, 1], "binary")
        >>> scores["accuracy"], scores["auroc"], scores["sensitivity"], scores["specificity"]
        (0.75, 0.5, 1.0, 0.5)
    """
    probability, target = _checked(probabilities, targets, task)
    if task == "multilabel":
        by_label = [_two_class_metrics(*column) for column in zip(probability.T, target.T, strict=True)]
        return {name: nan_mean([label[name] for label in by_label]) for name in METRICS}
    if probability.shape[1] <= 2:
        return _two_class_metrics(probability[:, -1], target)
    return _many_class_metrics(probability, target)


def confusion_matrix(probabilities: ArrayLike, targets: ArrayLike, task: str) -> NDArray[np.int64]:
    """Count images by true class (rows) and decided class (columns).

    Args:
        probabilities: As for :func:`classification_metrics`.
        targets: As for :func:`classification_metrics`.
        task: As for :func:`classification_metrics`.

    Returns:
        ``(K, K)`` for ``multiclass``, ``(2, 2)`` for ``binary``, and one such ``(2, 2)`` per label, ``(K, 2, 2)``,
        for ``multilabel``.

    Raises:
        DataError: As for :func:`classification_metrics`.
        ConfigError: As for :func:`classification_metrics`.

    Example:
        >>> confusion_matrix([[0.9], [0.4], [0.6], [0.8]], [0, 0, 1, 1], "binary")
        array([[1, 1],
               [0, 2]])
    """
    probability, target = _checked(probabilities, targets, task)
    if task == "multilabel":
        columns = zip(probability.T, target.T, strict=True)
        return np.stack([_counts(truth, column > 0.5, 2) for column, truth in columns])
    if task == "binary":
        return _counts(target, probability[:, 0] > 0.5, 2)
    return _counts(target, probability.argmax(axis=1), probability.shape[1])


def one_vs_rest(probabilities: ArrayLike, targets: ArrayLike, task: str) -> list[tuple[NDArray, NDArray]]:
    """Split the predictions into one yes/no question per output, as ROC and PR curves want them.

    Args:
        probabilities: As for :func:`classification_metrics`.
        targets: As for :func:`classification_metrics`.
        task: As for :func:`classification_metrics`.

    Returns:
        For each of the K outputs its scores ``(N,)`` and its truth ``(N,)``, bool.

    Raises:
        DataError: As for :func:`classification_metrics`.
        ConfigError: As for :func:`classification_metrics`.

    Example:
        >>> one_vs_rest([[0.9, 0.1], [0.2, 0.8]], [0, 1], "multiclass")[1]
        (array([0.1, 0.8]), array([False,  True]))
    """
    probability, target = _checked(probabilities, targets, task)
    if task == "multiclass":
        target = target[:, None] == np.arange(probability.shape[1])
    positive = target.reshape(probability.shape) > 0
    return list(zip(probability.T, positive.T, strict=True))


def class_auroc(probabilities: ArrayLike, targets: ArrayLike, task: str) -> NDArray[np.float64]:
    """Return the AUROC of each output against the rest.

    Args:
        probabilities: As for :func:`classification_metrics`.
        targets: As for :func:`classification_metrics`.
        task: As for :func:`classification_metrics`.

    Returns:
        ``(K,)``; NaN for a class that no image, or every image, has.

    Raises:
        DataError: As for :func:`classification_metrics`.
        ConfigError: As for :func:`classification_metrics`.

    Example:
        >>> class_auroc([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], [0, 1], "multiclass")
        array([ 1.,  1., nan])
    """
    return np.array([auroc(*question) for question in one_vs_rest(probabilities, targets, task)])


def _two_class_metrics(probability: NDArray, target: NDArray) -> dict[str, float]:
    decided = probability > 0.5
    counts = _counts(target, decided, 2)
    specificity, sensitivity = _ratio(counts.diagonal(), counts.sum(axis=1)).tolist()
    area, precision = areas(probability, target > 0)
    return {
        **_shared_metrics(counts),
        "auroc": area,
        "auprc": precision,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ece": _calibration_error(np.maximum(probability, 1 - probability), decided == target),
    }


def _many_class_metrics(probability: NDArray, target: NDArray) -> dict[str, float]:
    classes = probability.shape[1]
    decided = probability.argmax(axis=1)
    counts = _counts(target, decided, classes)
    occurring, decisions, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    rest = len(target) - occurring
    by_class = [areas(probability[:, index], target == index) for index in range(classes)]
    return {
        **_shared_metrics(counts),
        "auroc": nan_mean([area for area, _ in by_class]),
        "auprc": nan_mean([precision for _, precision in by_class]),
        "sensitivity": nan_mean(_ratio(right, occurring)),
        "specificity": nan_mean(_ratio(rest - (decisions - right), rest)),
        "ece": _calibration_error(probability.max(axis=1), decided == target),
    }


def _shared_metrics(counts: NDArray) -> dict[str, float]:
    """Compute what the confusion matrix alone says."""
    right = counts.diagonal()
    return {
        "accuracy": float(right.sum() / counts.sum()),
        "balanced_accuracy": nan_mean(_ratio(right, counts.sum(axis=1))),
        "kappa": _quadratic_kappa(counts),
    }


def _quadratic_kappa(counts: NDArray) -> float:
    """Cohen's weighted kappa; NaN if only one class occurs, in truth and decisions alike."""
    grades = np.arange(len(counts))
    weights = (grades[:, None] - grades) ** 2
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    chance = float((weights * expected).sum())
    return 1 - float((weights * counts).sum()) / chance if chance > 0 else math.nan


def _calibration_error(confidence: NDArray, right: NDArray) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, weighted by the images in a bin."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _counts(target: NDArray, decided: NDArray, classes: int) -> NDArray[np.int64]:
    return np.bincount(target * classes + decided, minlength=classes**2).reshape(classes, classes)


def _ratio(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _checked(probabilities: ArrayLike, targets: ArrayLike, task: str) -> tuple[NDArray, NDArray]:
    """Validate once: probabilities (N, K) float64; targets int64, (N, K) for multilabel and (N,) otherwise."""
    if task not in ("multiclass", "binary", "multilabel"):
        raise ConfigError(f"unknown task {str(task)!r}: choose multiclass, binary or multilabel")
    probability, target = np.asarray(probabilities, dtype=np.float64), np.asarray(targets)
    if task == "binary" and probability.ndim == 1:
        probability = probability[:, None]
    if task == "binary" and target.shape[1:] == (1,):
        target = target[:, 0]
    _require_shapes(probability, target, task)
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DataError(
            "probabilities must be finite and in [0, 1]: apply the task's softmax or sigmoid to logits first"
        )
    classes = probability.shape[1] if task == "multiclass" else 2
    unknown = np.setdiff1d(target, np.arange(classes))
    if len(unknown):
        raise DataError(f"targets of a {task} task must be whole numbers from 0 to {classes - 1}, got {unknown[0]}")
    return probability, target.astype(np.int64)


def _require_shapes(probability: NDArray, target: NDArray, task: str) -> None:
    if probability.size == 0:
        raise DataError("there are no predictions to score: the selection holds no image")
    outputs = probability.shape[1] if probability.ndim == 2 else 0
    fits = {"multiclass": outputs >= 2, "binary": outputs == 1, "multilabel": outputs >= 1}[task]
    if not fits or target.shape != (probability.shape if task == "multilabel" else probability.shape[:1]):
        raise DataError(
            f"probabilities {probability.shape} and targets {target.shape} do not fit a {task} task: give (N, K) "
            "probabilities with K = 1 for binary, and targets (N, K) for multilabel, (N,) otherwise"
        )
