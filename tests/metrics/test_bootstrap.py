from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy.stats import norm

from softcam.errors import ConfigError, DataError
from softcam.metrics.bootstrap import bootstrap_interval, bootstrap_table, nan_mean, paired_difference, paired_table
from softcam.metrics.classification import classification_metrics
from softcam.metrics.curves import auroc


def normal(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


def test_the_interval_of_a_mean_is_the_closed_form() -> None:
    values = normal(2000)
    interval = bootstrap_interval(np.mean, [values], resamples=4000)
    half_width = norm.ppf(0.975) * values.std() / math.sqrt(2000)
    assert interval.estimate == values.mean()
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.05 * half_width)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.05 * half_width)
    assert (interval.level, interval.resamples, interval.skipped) == (0.95, 4000, 0)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_cover_the_truth_as_often_as_they_say(level: float) -> None:
    intervals = [
        bootstrap_interval(np.mean, [normal(80, seed)], resamples=300, level=level, seed=seed) for seed in range(300)
    ]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert covered == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / 300) + 0.015)


def test_patients_are_drawn_with_all_their_images() -> None:
    """Four copies of each image say nothing new: by patient the interval stays, by image it halves."""
    values, patients = np.repeat(normal(500), 4), np.repeat([f"patient {i}" for i in range(500)], 4)
    alone = bootstrap_interval(np.mean, [values[::4]])
    by_patient = bootstrap_interval(np.mean, [values], patients)
    by_image = bootstrap_interval(np.mean, [values])
    width = alone.high - alone.low
    assert by_patient.high - by_patient.low == pytest.approx(width, rel=0.1)
    assert by_image.high - by_image.low == pytest.approx(width / 2, rel=0.1)


def test_every_resample_holds_whole_patients_of_any_size_in_any_order() -> None:
    generator = np.random.default_rng(0)
    patients = generator.integers(12, size=60)
    sizes = dict(zip(*np.unique(patients, return_counts=True), strict=True))
    seen = []

    def record(chosen: np.ndarray) -> float:
        drawn, counts = np.unique(patients[chosen], return_counts=True)
        seen.append(sum(count // sizes[patient] for patient, count in zip(drawn, counts, strict=True)))
        assert all(count % sizes[patient] == 0 for patient, count in zip(drawn, counts, strict=True))
        assert all(len(set(np.bincount(chosen, minlength=60)[patients == patient])) == 1 for patient in drawn)
        return 0.0

    bootstrap_interval(record, [np.arange(60)], patients, resamples=20)
    assert seen == [12] * 21


def test_the_same_seed_gives_the_same_interval() -> None:
    values = normal(50)
    assert bootstrap_interval(np.median, [values], seed=3) == bootstrap_interval(np.median, [values], seed=3)
    assert bootstrap_interval(np.median, [values], seed=3) != bootstrap_interval(np.median, [values], seed=4)


def test_a_table_shares_its_draws_with_single_intervals() -> None:
    values = normal(60)
    table = bootstrap_table(lambda x: {"mean": x.mean(), "std": x.std()}, [values], resamples=50)
    assert table["mean"] == bootstrap_interval(np.mean, [values], resamples=50)
    assert table["std"] == bootstrap_interval(np.std, [values], resamples=50)


def test_undefined_resamples_are_skipped_and_counted() -> None:
    scores, truth = np.array([0.1, 0.9, 0.5]), np.array([False, True, False])
    interval = bootstrap_interval(auroc, [scores, truth], resamples=2000)
    assert interval.skipped == pytest.approx(2000 * (2**3 + 1) / 3**3, rel=0.1)
    assert interval.resamples + interval.skipped == 2000
    assert (interval.estimate, interval.low, interval.high) == (1, 1, 1)


@pytest.mark.parametrize("groups", [None, ["a", "a", "a"]])
def test_without_a_value_or_a_second_patient_there_is_no_interval(groups) -> None:
    interval = bootstrap_interval(np.mean if groups else auroc, [np.ones(3)] * (1 if groups else 2), groups)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert interval.resamples == 0


def test_images_without_a_score_are_left_out() -> None:
    values = np.where(np.arange(400) % 2, normal(400), np.nan)
    interval = bootstrap_interval(nan_mean, [values])
    assert interval.estimate == pytest.approx(np.nanmean(values))
    assert interval.low < interval.estimate < interval.high
    assert math.isnan(nan_mean(np.full(3, np.nan)))


def test_pairing_removes_what_the_models_share() -> None:
    shared, noise = 10 * normal(400), 0.1 * normal(400, 1)
    difference = paired_difference(np.mean, [shared + 0.05 + noise], [shared])
    half_width = norm.ppf(0.975) * noise.std() / math.sqrt(400)
    assert difference.estimate == pytest.approx(0.05 + noise.mean())
    assert difference.high - difference.low == pytest.approx(2 * half_width, rel=0.1)
    assert difference.p_value < 0.01


def test_paired_difference_is_antisymmetric() -> None:
    a, b = [normal(50)], [normal(50, 1)]
    one, other = paired_difference(np.mean, a, b), paired_difference(np.mean, b, a)
    assert (one.estimate, one.low, one.high) == pytest.approx((-other.estimate, -other.high, -other.low))
    assert one.p_value == other.p_value
    same = paired_difference(np.mean, a, a)
    assert (same.estimate, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_p_values_are_uniform_when_nothing_differs() -> None:
    p_values = [
        paired_difference(np.mean, [normal(60, seed)], [normal(60, 1000 + seed)], resamples=200).p_value
        for seed in range(200)
    ]
    assert np.mean(np.array(p_values) < 0.1) == pytest.approx(0.1, abs=0.07)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.07)


def test_a_paired_table_compares_every_metric() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(2, size=300)
    good, poor = (np.clip(0.5 + share * (truth - 0.5) + 0.2 * generator.normal(size=300), 0, 1) for share in (0.6, 0.1))

    def statistics(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        return classification_metrics(probabilities, targets, "binary")

    table = paired_table(statistics, [good, truth], [poor, truth], resamples=100)
    assert table["auroc"].low > 0
    assert table["auroc"].estimate == pytest.approx(auroc(good, truth) - auroc(poor, truth))
    assert table["accuracy"].p_value == pytest.approx(2 / 101)


@pytest.mark.parametrize("classes", [2, 5])
def test_a_thousand_resamples_of_all_metrics_take_seconds(classes: int) -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(classes, size=2000)
    probabilities = generator.dirichlet(np.ones(classes), size=2000)
    started = time.process_time()
    bootstrap_table(lambda p, y: classification_metrics(p, y, "multiclass"), [probabilities, truth], resamples=200)
    assert time.process_time() - started < 2


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(DataError, match=r"one entry per image .* got lengths \[3, 4, 3\]"):
        bootstrap_interval(auroc, [np.ones(3), np.ones(4)])
    with pytest.raises(DataError, match=r"got lengths \[0, 0\]"):
        bootstrap_interval(np.mean, [np.empty(0)])
    with pytest.raises(ConfigError, match="level=95"):
        bootstrap_interval(np.mean, [np.ones(3)], level=95)
    with pytest.raises(ConfigError, match="resamples=0"):
        paired_difference(np.mean, [np.ones(3)], [np.ones(3)], resamples=0)


def test_an_interval_reads_as_in_a_table() -> None:
    assert str(bootstrap_interval(np.mean, [np.ones(4)])) == "1.000 [1.000, 1.000]"
