"""Two models on the same images: what is the difference, and could it be chance?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from softcam.errors import DataError
from softcam.evaluation.measures import bootstrap_arrays, explanation_measures, scored_task, statistics
from softcam.evaluation.predict import Predictions
from softcam.evaluation.result import Evaluation, plain
from softcam.metrics.bootstrap import PairedDifference, paired_table
from softcam.metrics.classification import METRICS
from softcam.metrics.delong import DeLongTest, delong_test
from softcam.model.task import Task


@dataclass(frozen=True)
class Comparison:
    """Two models, compared on the same images.

    Attributes:
        differences: First model minus second, of every metric and of each measure of the evidence that both
            have. Locality is measured on rectangles of each map's own cells.
        delong: DeLong's test of the two AUROCs; None unless there are two classes, at least two images of
            each, and one image per patient.
    """

    differences: Mapping[str, PairedDifference]
    delong: DeLongTest | None

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; a number that is not defined is None."""
        result: dict[str, Any] = plain(self)
        return result


def compare(first: Evaluation, second: Evaluation, *, resamples: int = 1000, seed: int = 0) -> Comparison:
    """Compare two models by paired bootstrap over patients: each draw serves both.

    Args:
        first: One evaluation.
        second: Another, of the same images.
        resamples: Number of draws.
        seed: Seed of the draws.

    Returns:
        The differences, first minus second.

    Raises:
        DataError: They are not of the same images and classes.
        ConfigError: ``resamples`` is below 1.
    """
    _require_same(first, second)
    a, b = first.predictions, second.predictions
    measures = [name for name in explanation_measures(a) if name in explanation_measures(b)]
    differences = paired_table(
        statistics(scored_task(a), measures),
        bootstrap_arrays(a, measures),
        bootstrap_arrays(b, measures),
        a.patients,
        resamples=resamples,
        seed=seed,
    )
    return Comparison({name: differences[name] for name in (*METRICS, *measures)}, _delong(a, b))


def _require_same(first: Evaluation, second: Evaluation) -> None:
    a, b = first.predictions, second.predictions
    if first.classes != second.classes or scored_task(a) is not scored_task(b):
        raise DataError(
            f"the models answer different questions ({scored_task(a)}: {', '.join(first.classes)}; "
            f"{scored_task(b)}: {', '.join(second.classes)}); compare two that were trained on the same classes"
        )
    if a.images != b.images or a.labels != b.labels:
        raise DataError(
            "the two evaluations are not of the same images with the same labels; "
            "evaluate both models on one split of one manifest"
        )


def _delong(a: Predictions, b: Predictions) -> DeLongTest | None:
    if scored_task(a) is not Task.BINARY or len(set(a.patients)) < len(a.patients):
        return None
    positive = a.targets.reshape(-1) > 0
    if min(np.count_nonzero(positive), np.count_nonzero(~positive)) < 2:
        return None
    return delong_test(a.probabilities[:, -1], b.probabilities[:, -1], positive)
