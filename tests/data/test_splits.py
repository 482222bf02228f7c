from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from softcam.data.sample import Sample, Split
from softcam.data.splits import SplitOptions, check_no_leak, split_by_patient, take_validation
from softcam.errors import ConfigError, DataError

FRACTIONS = (0.7, 0.1, 0.2)


def make(patients: list[tuple[int, ...]], splits: dict[int, Split] | None = None) -> list[Sample]:
    """One sample per label of each patient."""
    return [
        Sample(Path(f"/{patient}-{index}.png"), (label,), f"P{patient:04d}", (splits or {}).get(patient))
        for patient, labels in enumerate(patients)
        for index, label in enumerate(labels)
    ]


def shares(samples: tuple[Sample, ...]) -> dict[Split, float]:
    counts = Counter(sample.split for sample in samples)
    return {split: counts[split] / len(samples) for split in Split}


@settings(deadline=None, max_examples=50)
@given(
    patients=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple), min_size=40, max_size=120),
    seed=st.integers(0, 100),
)
def test_patients_stay_together_and_the_fractions_are_met(patients: list[tuple[int, ...]], seed: int) -> None:
    samples = make(patients)
    split = split_by_patient(samples, FRACTIONS, seed)
    check_no_leak(split)
    assert [sample.image for sample in split] == [sample.image for sample in samples]
    assert all(sample.split is not None for sample in split)
    # Each of the 4 labels can leave a split off by about one patient of 5 images.
    for share, wanted in zip(shares(split).values(), FRACTIONS, strict=True):
        assert abs(share - wanted) <= 4 * 5 / len(samples)


def test_labels_are_spread_evenly() -> None:
    samples = split_by_patient(make([(0,)] * 900 + [(1,)] * 90 + [(2,)] * 10), FRACTIONS)
    counts: dict[int, Counter[Split | None]] = defaultdict(Counter)
    for sample in samples:
        counts[sample.labels[0]][sample.split] += 1
    assert counts[0] == {Split.TRAIN: 630, Split.VAL: 90, Split.TEST: 180}
    assert counts[1] == {Split.TRAIN: 63, Split.VAL: 9, Split.TEST: 18}
    assert counts[2] == {Split.TRAIN: 7, Split.VAL: 1, Split.TEST: 2}


@given(order=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=20)
def test_the_order_of_the_rows_does_not_matter(order: random.Random) -> None:
    samples = make([(0, 1), (1,), (0,), (2, 2)] * 10)
    shuffled = list(samples)
    order.shuffle(shuffled)
    assert set(split_by_patient(samples, seed=3)) == set(split_by_patient(shuffled, seed=3))


def test_the_split_of_a_seed_never_changes() -> None:
    split = split_by_patient(make([(0,)] * 10), FRACTIONS, seed=0)
    letters = "".join(sample.split.value[1] for sample in split if sample.split)  # t-r-ain, v-a-l, t-e-st
    assert letters == "errrrarerr"


def test_another_seed_is_another_split() -> None:
    samples = make([(0,)] * 30)
    assert split_by_patient(samples, seed=0) != split_by_patient(samples, seed=1)


def test_images_without_labels_are_spread_too() -> None:
    samples = [Sample(Path(f"/{index}.png"), (), str(index)) for index in range(100)]
    assert shares(split_by_patient(samples, FRACTIONS)) == {Split.TRAIN: 0.7, Split.VAL: 0.1, Split.TEST: 0.2}


def test_given_splits_are_kept_and_filled_up() -> None:
    samples = make([(0,)] * 100, dict.fromkeys(range(20), Split.TEST))
    split = split_by_patient(samples, FRACTIONS)
    assert all(sample.split is Split.TEST for sample in split[:20])
    assert shares(split) == {Split.TRAIN: 0.7, Split.VAL: 0.1, Split.TEST: 0.2}


def test_an_image_follows_the_other_images_of_its_patient() -> None:
    samples = [*make([(0, 0), *[(0,)] * 20], {0: Split.VAL})]
    samples[1] = Sample(samples[1].image, (0,), samples[1].patient)
    assert split_by_patient(samples)[1].split is Split.VAL


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.2, -0.2, 0.0), (float("nan"), 0.5, 0.5)])
def test_fractions_must_be_shares(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match=r"are not shares of train, val and test that sum to 1; try 0\.7,0\.1,0\.2"):
        split_by_patient(make([(0,)] * 10), fractions)


def test_a_fraction_of_zero_leaves_the_split_empty() -> None:
    assert shares(split_by_patient(make([(0,)] * 4), (0, 0, 1))) == {Split.TRAIN: 0, Split.VAL: 0, Split.TEST: 1}


def test_too_few_patients_are_an_error() -> None:
    with pytest.raises(DataError) as caught:
        split_by_patient(make([(0, 1, 0, 1), (0, 1)]), FRACTIONS)
    assert str(caught.value) == (
        "2 patients are too few to fill the splits, val stays empty; give a fraction of 0 to the splits that you "
        "can do without."
    )


def test_a_leak_names_the_patient_the_splits_and_the_images() -> None:
    samples = [
        Sample(Path("/a/1.png"), (0,), "007", Split.TRAIN),
        Sample(Path("/a/2.png"), (0,), "007"),
        Sample(Path("/a/3.png"), (0,), "007", Split.TEST),
    ]
    with pytest.raises(DataError, match=r"^patient '007' is in two splits, train \(1\.png\) and test \(3\.png\); "):
        check_no_leak(samples)
    check_no_leak(samples[:2])


def test_validation_is_taken_out_of_train_by_patient() -> None:
    samples = make([(0, 1)] * 50 + [(0,)] * 30, {p: Split.TRAIN if p < 50 else Split.TEST for p in range(80)})
    split = take_validation(samples, 0.2)
    check_no_leak(split)
    assert Counter(sample.split for sample in split) == {Split.TRAIN: 80, Split.VAL: 20, Split.TEST: 30}
    assert split[100:] == tuple(samples[100:])


def test_validation_needs_a_fraction_and_patients() -> None:
    with pytest.raises(ConfigError, match=r"^Validation fraction 1 is not between 0 and 1; try 0\.1\.$"):
        take_validation(make([(0,)] * 5), 1)
    with pytest.raises(DataError, match="train has fewer than two patients"):
        take_validation(make([(0,)], {0: Split.TRAIN}), 0.1)


class TestSplitOptions:
    def test_no_splits_given(self) -> None:
        samples = make([(0,)] * 100)
        assert SplitOptions(seed=2).apply(samples) == split_by_patient(samples, FRACTIONS, 2)

    def test_given_splits_are_kept(self) -> None:
        samples = make([(0,)] * 3, {0: Split.TRAIN, 1: Split.VAL, 2: Split.TEST})
        assert SplitOptions().apply(samples) == tuple(samples)

    def test_validation_is_made_where_it_is_missing(self) -> None:
        samples = make([(0,)] * 20, {p: Split.TRAIN if p < 10 else Split.TEST for p in range(20)})
        split = SplitOptions(val_fraction=0.3).apply(samples)
        assert Counter(sample.split for sample in split) == {Split.TRAIN: 7, Split.VAL: 3, Split.TEST: 10}
        assert SplitOptions(val_fraction=0).apply(samples) == tuple(samples)

    def test_a_leak_is_refused_and_resplit_mends_it(self) -> None:
        samples = make([(0,)] * 30, dict.fromkeys(range(30), Split.TRAIN))
        leaking = [*samples, Sample(Path("/x.png"), (0,), samples[0].patient, Split.TEST)]
        with pytest.raises(DataError, match="resplit"):
            SplitOptions().apply(leaking)
        check_no_leak(SplitOptions(resplit=True).apply(leaking))
