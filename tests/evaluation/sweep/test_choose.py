from __future__ import annotations

import math

import numpy as np
import pytest
from tests.evaluation.sweep.conftest import PATIENTS, TARGETS, make_run

from softcam.evaluation.sweep.choose import RunResult, choose, compare_seeds, setting_results
from softcam.metrics.bootstrap import paired_table
from softcam.metrics.curves import auroc
from softcam.training.sweep.grid import DENSE, Point, Setting

SPARSE, SPARSER, SPARSEST = (Setting(l1, 0.0, 1.0) for l1 in (0.1, 0.2, 0.3))


def runs_of(setting: Setting, wrong: int = 0, sparsity: float = 0.5, seeds: int = 2) -> list[RunResult]:
    return [make_run(setting, seed, wrong, sparsity) for seed in range(seeds)]


def test_the_sparsest_that_is_not_worse_is_chosen() -> None:
    runs = [*runs_of(DENSE), *runs_of(SPARSE, 0, 0.7), *runs_of(SPARSER, 0, 0.8), *runs_of(SPARSEST, 12, 0.9)]
    results = setting_results(runs, resamples=100)
    assert [result.setting for result in results] == [DENSE, SPARSE, SPARSER, SPARSEST]
    assert [result.not_worse(0.01) for result in results] == [True, True, True, False]
    assert choose(results, 0.01).setting == SPARSER
    assert choose(results, 0.9).setting == SPARSEST


def test_it_is_the_interval_that_counts_and_not_the_estimate() -> None:
    worse = setting_results([*runs_of(DENSE), *runs_of(SPARSE, 2)], resamples=200)[1]
    difference = worse.differences["auroc"]
    assert difference.low < difference.estimate < 0
    assert not worse.not_worse(-(difference.low + difference.estimate) / 2)
    assert not worse.not_worse(-difference.low)
    assert worse.not_worse(-difference.low + 1e-9)


def test_the_dense_setting_is_left_when_nothing_sparser_can_be_had() -> None:
    results = setting_results([*runs_of(DENSE, 0, 0.5), *runs_of(SPARSE, 0, 0.4)], resamples=20)
    assert choose(results, 0.01).setting == DENSE
    undefined = setting_results([*runs_of(DENSE, 0, 0.5), *runs_of(SPARSE, 0, math.nan)], resamples=20)
    assert choose(undefined, 0.01).setting == DENSE


def test_a_setting_with_a_failed_training_is_not_chosen() -> None:
    failed = RunResult(Point(SPARSE, 1), None, "the loss is nan")
    results = setting_results([*runs_of(DENSE), make_run(SPARSE, 0, 0, 0.9), failed], resamples=20)
    assert (results[1].failed, results[1].differences) == ((failed,), {})
    assert results[1].values["sparsity"] == pytest.approx(0.9)
    assert all(math.isnan(value) for value in failed.values.values())
    assert choose(results, 0.5).setting == DENSE


def test_a_failed_dense_training_leaves_the_other_seeds_to_compare_with() -> None:
    failed = RunResult(Point(DENSE, 1), None, "the loss is nan")
    results = setting_results([make_run(DENSE, 0), failed, *runs_of(SPARSE, 0, 0.9)], resamples=20)
    assert choose(results, 0.01).setting == SPARSE


def test_differences_are_means_over_seeds_on_the_same_draws() -> None:
    first, second = runs_of(SPARSE, 9, seeds=3), runs_of(DENSE, 2)
    evaluations = [[run.evaluation for run in runs if run.evaluation] for runs in (first, second)]
    found = compare_seeds(*evaluations, resamples=50, seed=4)
    columns = [np.stack([e.predictions.probabilities[:, 1] for e in part], axis=1) for part in evaluations]

    def mean_auroc(scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        return {"auroc": float(np.mean([auroc(column, targets > 0) for column in scores.T]))}

    expected = paired_table(mean_auroc, [columns[0], TARGETS], [columns[1], TARGETS], PATIENTS, resamples=50, seed=4)
    assert found["auroc"] == expected["auroc"]
    assert found["auroc"].estimate < 0
    assert found["sparsity"].estimate == 0
