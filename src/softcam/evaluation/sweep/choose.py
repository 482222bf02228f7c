"""Which setting of a sweep to take: the sparsest that is not worse than the dense one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softcam.evaluation.measures import bootstrap_arrays, explanation_measures, scored_task, statistics
from softcam.evaluation.result import Evaluation
from softcam.evaluation.sweep.assess import SPARSITY
from softcam.metrics.bootstrap import PairedDifference, Statistics, paired_table
from softcam.model.task import Task
from softcam.training.sweep.grid import DENSE, Point, Setting

MEASURES = ("auroc", "accuracy", "ece", SPARSITY, "activation_precision", "locality")
"""What a sweep tells of a run, in the order of its tables."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """What came out of one training.

    Attributes:
        point: Its penalties and seed.
        evaluation: What it is worth; None where the training failed.
        failure: Why it failed.
    """

    point: Point
    evaluation: Evaluation | None
    failure: str = ""

    @property
    def values(self) -> dict[str, float]:
        """Return :data:`MEASURES`; NaN where one is not defined."""
        if self.evaluation is None:
            return dict.fromkeys(MEASURES, math.nan)
        found = _statistics([self.evaluation])(*_stacked([self.evaluation]))
        return {name: found.get(name, math.nan) for name in MEASURES}


@dataclass(frozen=True, eq=False)
class SettingResult:
    """What came out of one setting, over all seeds.

    Attributes:
        setting: The penalties.
        runs: One result per seed.
        differences: To the dense setting on the same images, of :data:`MEASURES`, each the mean over the seeds;
            empty where a training failed.
    """

    setting: Setting
    runs: tuple[RunResult, ...]
    differences: Mapping[str, PairedDifference]

    @property
    def failed(self) -> tuple[RunResult, ...]:
        """The trainings that failed."""
        return tuple(run for run in self.runs if run.evaluation is None)

    @property
    def values(self) -> dict[str, float]:
        """Means over the seeds of what :attr:`RunResult.values` says."""
        finished = [run.values for run in self.runs if run.evaluation is not None]
        return {name: float(np.mean([values[name] for values in finished] or [math.nan])) for name in MEASURES}

    def not_worse(self, margin: float) -> bool:
        """Say whether AUROC is, by its interval, not lower than the dense setting's by ``margin`` (non-inferiority).

        False where a training failed or the difference is not defined.
        """
        if self.setting == DENSE:
            return True
        return "auroc" in self.differences and self.differences["auroc"].low > -margin


def setting_results(runs: Sequence[RunResult], *, resamples: int = 1000, seed: int = 0) -> list[SettingResult]:
    """Put the runs of each setting together and compare each setting with the dense one.

    The differences are means over the seeds, their intervals a paired bootstrap over patients: each draw serves all
    networks. They speak of the networks that were trained, on other patients; how much a new seed would move them
    shows in the spread of the runs.

    Args:
        runs: All runs of all settings, evaluated on the same images; some of the dense setting did not fail.
        resamples: Number of draws.
        seed: Seed of the draws.
    """
    grouped: dict[Setting, list[RunResult]] = {}
    for run in runs:
        grouped.setdefault(run.point.setting, []).append(run)
    dense = _evaluations(grouped[DENSE])
    results = []
    for setting, members in grouped.items():
        own = _evaluations(members)
        whole = setting != DENSE and len(own) == len(members)
        differences = compare_seeds(own, dense, resamples=resamples, seed=seed) if whole else {}
        results.append(SettingResult(setting, tuple(members), differences))
    return results


def compare_seeds(
    first: Sequence[Evaluation], second: Sequence[Evaluation], *, resamples: int = 1000, seed: int = 0
) -> dict[str, PairedDifference]:
    """Compare two settings, each by the mean over its seeds.

    Args:
        first: Evaluations of the first setting, one per seed.
        second: Those of the second, perhaps of other seeds, on the same images.
        resamples: Number of draws of patients.
        seed: Seed of the draws.

    Returns:
        First minus second, of those of :data:`MEASURES` that both have.
    """
    compute = _statistics([*first, *second])
    found = paired_table(
        compute,
        _stacked(first, like=[*first, *second]),
        _stacked(second, like=[*first, *second]),
        first[0].predictions.patients,
        resamples=resamples,
        seed=seed,
    )
    return {name: found[name] for name in MEASURES if name in found}


def choose(results: Sequence[SettingResult], margin: float) -> SettingResult:
    """Return the sparsest setting that is not worse than the dense one; the dense one itself where none is sparser.

    Args:
        results: Of all settings, the dense one among them.
        margin: Loss of AUROC that is accepted.
    """
    dense = next(result for result in results if result.setting == DENSE)
    eligible = [result for result in results if result.not_worse(margin)]
    return max(eligible, key=lambda result: (_or_least(result.values[SPARSITY]), result is dense))


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _evaluations(runs: Sequence[RunResult]) -> list[Evaluation]:
    return [run.evaluation for run in runs if run.evaluation is not None]


def _measures(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    common = set.intersection(*(set(explanation_measures(each.predictions)) for each in evaluations))
    return (SPARSITY, *(name for name in MEASURES if name in common))


def _stacked(evaluations: Sequence[Evaluation], like: Sequence[Evaluation] | None = None) -> list[NDArray[Any]]:
    """Return probabilities ``(N, S, K)``, targets ``(N, ...)`` and scores ``(N, S, C)`` of S evaluations."""
    measures = _measures(like or evaluations)
    arrays = [bootstrap_arrays(each.predictions, measures) for each in evaluations]
    return [np.stack([a[0] for a in arrays], axis=1), arrays[0][1], np.stack([a[2] for a in arrays], axis=1)]


def _statistics(evaluations: Sequence[Evaluation]) -> Statistics:
    task: Task = scored_task(evaluations[0].predictions)
    of_one = statistics(task, _measures(evaluations))

    def mean_over_seeds(probabilities: NDArray[Any], targets: NDArray[Any], scores: NDArray[Any]) -> dict[str, float]:
        rows = [of_one(probabilities[:, each], targets, scores[:, each]) for each in range(probabilities.shape[1])]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}

    return mean_over_seeds
