"""From numbers per image to numbers per data set, in the form that the bootstrap takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softcam.evaluation.explanations import LOCALIZATION, REFERENCE, RESIDUAL
from softcam.evaluation.predict import Predictions
from softcam.metrics.bootstrap import Statistics, nan_mean
from softcam.metrics.classification import classification_metrics
from softcam.model.task import Task

LOCALITY = "locality"


def explanation_measures(predictions: Predictions) -> tuple[str, ...]:
    """Return which measures of the evidence the predictions have numbers for: of :data:`LOCALIZATION`, and locality."""
    needed = {**{name: name for name in LOCALIZATION}, LOCALITY: REFERENCE}
    scores = predictions.scores
    return tuple(name for name, column in needed.items() if column in scores and not np.isnan(scores[column]).all())


def scored_task(predictions: Predictions) -> Task:
    """Return as what the decisions are scored: two classes are a yes/no question, whatever the outputs."""
    two_outputs = predictions.task is Task.MULTICLASS and predictions.probabilities.shape[1] == 2
    return Task.BINARY if two_outputs else predictions.task


def bootstrap_arrays(predictions: Predictions, measures: Sequence[str]) -> list[NDArray[Any]]:
    """Return what :func:`statistics` takes: probabilities, targets and the scores per image ``(N, S)``."""
    probabilities, targets = predictions.probabilities, predictions.targets
    if scored_task(predictions) is Task.BINARY:
        probabilities, targets = probabilities[:, -1:], targets.reshape(-1)
    columns = [predictions.scores[name] for name in _columns(measures)]
    return [probabilities, targets, np.stack(columns, axis=1) if columns else np.empty((len(predictions), 0))]


def statistics(task: Task, measures: Sequence[str]) -> Statistics:
    """Return the function of :func:`bootstrap_arrays` that computes all metrics of the decisions and ``measures``."""
    names = _columns(measures)

    def compute(probabilities: NDArray[Any], targets: NDArray[Any], scores: NDArray[Any]) -> dict[str, float]:
        columns = dict(zip(names, scores.T, strict=True))
        values = classification_metrics(probabilities, targets, task)
        for name in measures:
            values[name] = _locality(columns) if name == LOCALITY else nan_mean(columns[name])
        return values

    return compute


def _columns(measures: Sequence[str]) -> list[str]:
    return [column for name in measures for column in ([RESIDUAL, REFERENCE] if name == LOCALITY else [name])]


def _locality(columns: dict[str, NDArray[Any]]) -> float:
    reference = float(np.nansum(columns[REFERENCE]))
    return 1 - float(np.nansum(columns[RESIDUAL])) / reference if reference > 0 else math.nan
