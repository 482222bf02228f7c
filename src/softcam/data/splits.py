"""Training, validation and test sets that never share a patient."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from softcam.data.sample import Sample, Split
from softcam.errors import ConfigError, DataError

_NO_LABEL = -1  # stratum of images that show none of the classes


@dataclass(frozen=True)
class SplitOptions:
    """How images get their splits, always whole patients at a time.

    Attributes:
        fractions: Shares of train, val and test, for data that come without splits.
        val_fraction: Share of the training images to move to val, for data that come with train but without
            val; 0 moves none.
        seed: Another seed, other splits.
        resplit: Ignore the splits that the data come with.
    """

    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    val_fraction: float = 0.1
    seed: int = 0
    resplit: bool = False

    def apply(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """Give every sample a split.

        Args:
            samples: The images, with the splits that they come with.

        Returns:
            The samples in their order. Given splits are kept, except for what ``val_fraction`` and
            ``resplit`` say.

        Raises:
            ConfigError: If the fractions are not shares.
            DataError: If a given split shares a patient with another, or there are too few patients.
        """
        if self.resplit:
            samples = [replace(sample, split=None) for sample in samples]
        given = {sample.split for sample in samples}
        if None in given:
            return split_by_patient(samples, self.fractions, self.seed)
        check_no_leak(samples)
        if Split.VAL in given or Split.TRAIN not in given or self.val_fraction == 0:
            return tuple(samples)
        return take_validation(samples, self.val_fraction, self.seed)


BY_PATIENT = SplitOptions()
"""The defaults: 70 % of the patients for training, 10 % for validation, 20 % for testing."""


def check_no_leak(samples: Iterable[Sample]) -> None:
    """Check that no patient is in two splits.

    Args:
        samples: The images; those without a split are not looked at.

    Raises:
        DataError: If a patient is; the message names the patient, the splits, and an image of each.
    """
    first: dict[str, tuple[Split, Sample]] = {}
    for sample in samples:
        if sample.split is None:
            continue
        split, other = first.setdefault(sample.patient, (sample.split, sample))
        if split != sample.split:
            raise DataError(
                f"patient {sample.patient!r} is in two splits, {split} ({other.image.name}) and "
                f"{sample.split} ({sample.image.name}); keep a patient's images together, or let "
                "`softcam prepare ... --resplit` draw new splits."
            )


def split_by_patient(
    samples: Sequence[Sample],
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
) -> tuple[Sample, ...]:
    """Give every image a split, whole patients at a time.

    Patients are taken in an order that depends on their names and the seed alone (not on the order of the
    rows nor on the platform), those with the rarest label first, and each goes where its label is furthest
    below its share. So labels are spread as evenly as whole patients allow, and every split gets some of
    each label that enough patients have. The idea is that of iterative stratification (Sechidis et al.,
    *On the stratification of multi-label data*, ECML 2011), with patients in place of images.

    Args:
        samples: The images. Those that have a split keep it, and so do the other images of their patients;
            the rest is spread so that the whole comes near the fractions.
        fractions: Shares of train, val and test, from 0 to 1, summing to 1.
        seed: Another seed, another split.

    Returns:
        The samples in their order, each with a split.

    Raises:
        ConfigError: If the fractions are not shares that sum to 1.
        DataError: If a patient is in two splits already, or there are fewer patients than splits to fill.
    """
    shares = _shares(fractions)
    check_no_leak(samples)
    given = {sample.patient: sample.split for sample in samples if sample.split is not None}
    chosen = _assign(_labels_by_patient(samples), given, shares, seed)
    empty = [split for split in shares if split not in chosen.values()]
    if empty:
        raise DataError(
            f"{len(chosen)} patients are too few to fill the splits, {empty[0]} stays empty; "
            "give a fraction of 0 to the splits that you can do without."
        )
    return tuple(replace(sample, split=chosen[sample.patient]) for sample in samples)


def take_validation(samples: Sequence[Sample], fraction: float, seed: int = 0) -> tuple[Sample, ...]:
    """Move some patients from train to val, for data that come with train and test only.

    Args:
        samples: The images, none of them in val.
        fraction: Share of the training images to move, between 0 and 1.
        seed: Another seed, another choice.

    Returns:
        The samples in their order; those that were not in train are as they were.

    Raises:
        ConfigError: If the fraction is not between 0 and 1.
        DataError: If a patient is in two splits, or train has fewer than two patients.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"Validation fraction {fraction:g} is not between 0 and 1; try 0.1.")
    check_no_leak(samples)
    training = [replace(sample, split=None) for sample in samples if sample.split is Split.TRAIN]
    if len({sample.patient for sample in training}) < 2:
        raise DataError("train has fewer than two patients; validation images cannot be taken out of it.")
    divided = iter(split_by_patient(training, (1 - fraction, fraction, 0), seed))
    return tuple(next(divided) if sample.split is Split.TRAIN else sample for sample in samples)


def _shares(fractions: Sequence[float]) -> dict[Split, float]:
    shares = dict(zip(Split, fractions, strict=True))
    if not all(0 <= share <= 1 for share in fractions) or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        written = ", ".join(f"{share:g}" for share in fractions)
        raise ConfigError(
            f"Split fractions {written} are not shares of train, val and test that sum to 1; try 0.7,0.1,0.2."
        )
    return {split: share for split, share in shares.items() if share > 0}


def _labels_by_patient(samples: Iterable[Sample]) -> dict[str, Counter[int]]:
    patients: dict[str, Counter[int]] = defaultdict(Counter)
    for sample in samples:
        patients[sample.patient].update(sample.labels or (_NO_LABEL,))
    return patients


def _assign(
    patients: Mapping[str, Counter[int]], given: Mapping[str, Split], shares: Mapping[Split, float], seed: int
) -> dict[str, Split]:
    chosen = dict(given)
    filled: dict[Split, Counter[int]] = {split: Counter() for split in Split}
    for patient, split in given.items():
        filled[split].update(patients[patient])

    order = sorted(patients.keys() - given.keys(), key=lambda patient: _shuffled(patient, seed))
    holders = Counter(label for labels in patients.values() for label in labels)
    for label in sorted(holders, key=lambda label: (holders[label], label)):
        for patient in order:
            if patient not in chosen and label in patients[patient]:
                chosen[patient] = min(shares, key=lambda split: _fullness(filled[split], label, shares[split]))
                filled[chosen[patient]].update(patients[patient])
    return chosen


def _fullness(filled: Counter[int], label: int, share: float) -> tuple[float, float, float]:
    """How far a split is, relative to its share; the larger share wins a tie."""
    return filled[label] / share, filled.total() / share, -share


def _shuffled(patient: str, seed: int) -> tuple[bytes, str]:
    return hashlib.sha256(f"{seed}:{patient}".encode()).digest(), patient
