"""How far a result could be off: percentile bootstrap over patients.

Images of one patient are not independent, so patients are drawn, each with all their images. One draw serves
all metrics, and in a paired comparison both models, so that what is left in the difference is the models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from softcam.errors import ConfigError, DataError

Statistic: TypeAlias = Callable[..., float]
"""Arrays of images, one after the other as given, to one number; NaN where it is not defined."""
Statistics: TypeAlias = Callable[..., Mapping[str, float]]
"""The same, to several named numbers."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval.

    Attributes:
        estimate: The statistic of all images.
        low: Lower bound; NaN if the statistic is not defined or there are fewer than two patients.
        high: Upper bound.
        level: Confidence level, .95 for a 95 % interval.
        resamples: Number of resamples the bounds rest on.
        skipped: Number of resamples left out because the statistic was NaN on them.
    """

    estimate: float
    low: float
    high: float
    level: float
    resamples: int
    skipped: int

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class PairedDifference(Interval):
    """A difference between two models on the same patients, its interval, and its p-value.

    Attributes:
        p_value: Two-sided: twice the smaller share of resamples in which the difference is not above, or not
            below, zero, the observed data counted as one of them (Davison & Hinkley 1997, §4.4). Never below
            2 / (resamples + 1).
    """

    p_value: float


def bootstrap_interval(
    statistic: Statistic,
    arrays: Sequence[ArrayLike],
    groups: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Estimate a statistic with its confidence interval.

    Args:
        statistic: Takes the arrays and returns a number; NaN where it is not defined.
        arrays: One or more arrays with an entry (row) per image.
        groups: The patient of each image, ``(N,)``; every image is its own by default.
        resamples: Number of draws.
        level: Confidence level in (0, 1).
        seed: Seed of the draws.

    Returns:
        The estimate and its percentile interval.

    Raises:
        DataError: If the arrays and groups differ in length, or are empty.
        ConfigError: If ``resamples`` or ``level`` is out of range.

    Example:
        >>> bootstrap_interval(np.mean, [np.arange(100.0)]).estimate
        49.5
    """
    return bootstrap_table(_named(statistic), arrays, groups, resamples=resamples, level=level, seed=seed)["value"]


def bootstrap_table(
    statistics: Statistics,
    arrays: Sequence[ArrayLike],
    groups: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Estimate several statistics with their intervals, all from the same draws.

    Args:
        statistics: Takes the arrays and returns named numbers, the same names at each call.
        arrays: As for :func:`bootstrap_interval`.
        groups: As for :func:`bootstrap_interval`.
        resamples: As for :func:`bootstrap_interval`.
        level: As for :func:`bootstrap_interval`.
        seed: As for :func:`bootstrap_interval`.

    Returns:
        An interval for each name.

    Raises:
        DataError: As for :func:`bootstrap_interval`.
        ConfigError: As for :func:`bootstrap_interval`.

    Example:
        >>> table = bootstrap_table(lambda x: {"mean": x.mean(), "max": x.max()}, [np.arange(100.0)])
        >>> table["mean"].estimate, table["max"].estimate
        (49.5, 99.0)
    """
    columns = [np.asarray(array) for array in arrays]
    clusters = _Clusters.of(columns, groups)
    _require_settings(resamples, level)
    estimates = statistics(*columns)
    drawn = _tabulate(
        estimates, (statistics(*(column[chosen] for column in columns)) for chosen in clusters.draws(resamples, seed))
    )
    return {name: Interval(*_summary(float(estimates[name]), drawn[name], level)) for name in estimates}


def paired_difference(
    statistic: Statistic,
    arrays_a: Sequence[ArrayLike],
    arrays_b: Sequence[ArrayLike],
    groups: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Estimate how much better model a does than model b on the same patients.

    Args:
        statistic: As for :func:`bootstrap_interval`.
        arrays_a: Arrays of model a, images in the same order as those of b.
        arrays_b: Arrays of model b.
        groups: As for :func:`bootstrap_interval`.
        resamples: As for :func:`bootstrap_interval`.
        level: As for :func:`bootstrap_interval`.
        seed: As for :func:`bootstrap_interval`.

    Returns:
        Statistic of a minus statistic of b, its interval, and its p-value.

    Raises:
        DataError: As for :func:`bootstrap_interval`.
        ConfigError: As for :func:`bootstrap_interval`.

    Example:
        >>> noisy = np.random.default_rng(0).normal(size=100)
        >>> difference = paired_difference(np.mean, [noisy + 0.1], [noisy])
        >>> print(difference, difference.p_value < 0.01)
        0.100 [0.100, 0.100] True
    """
    return paired_table(_named(statistic), arrays_a, arrays_b, groups, resamples=resamples, level=level, seed=seed)[
        "value"
    ]


def paired_table(
    statistics: Statistics,
    arrays_a: Sequence[ArrayLike],
    arrays_b: Sequence[ArrayLike],
    groups: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, PairedDifference]:
    """Compare two models on the same patients by several statistics, all from the same draws.

    Args:
        statistics: As for :func:`bootstrap_table`.
        arrays_a: As for :func:`paired_difference`.
        arrays_b: As for :func:`paired_difference`.
        groups: As for :func:`bootstrap_interval`.
        resamples: As for :func:`bootstrap_interval`.
        level: As for :func:`bootstrap_interval`.
        seed: As for :func:`bootstrap_interval`.

    Returns:
        The difference, a minus b, for each name.

    Raises:
        DataError: As for :func:`bootstrap_interval`.
        ConfigError: As for :func:`bootstrap_interval`.
    """
    columns_a = [np.asarray(array) for array in arrays_a]
    columns_b = [np.asarray(array) for array in arrays_b]
    clusters = _Clusters.of([*columns_a, *columns_b], groups)
    _require_settings(resamples, level)

    def difference(chosen: NDArray | slice) -> dict[str, float]:
        of_a = statistics(*(column[chosen] for column in columns_a))
        of_b = statistics(*(column[chosen] for column in columns_b))
        return {name: of_a[name] - of_b[name] for name in of_a}

    estimates = difference(slice(None))
    drawn = _tabulate(estimates, (difference(chosen) for chosen in clusters.draws(resamples, seed)))
    return {
        name: PairedDifference(*_summary(estimate, drawn[name], level), p_value=_p_value(drawn[name]))
        for name, estimate in estimates.items()
    }


def nan_mean(values: ArrayLike) -> float:
    """Return the mean of what is not NaN: the statistic for scores of annotated images.

    Args:
        values: ``(N,)``, NaN for an image without a score.

    Returns:
        The mean; NaN where no image has a score.

    Example:
        >>> nan_mean([1.0, np.nan, 3.0])
        2.0
    """
    values = np.asarray(values, dtype=np.float64)
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


@dataclass(frozen=True)
class _Clusters:
    """The images of each patient, laid end to end: patient i has ``order[start[i] : start[i] + size[i]]``."""

    order: NDArray[np.int64]
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, columns: Sequence[NDArray], groups: ArrayLike | None) -> _Clusters:
        labels = np.arange(len(columns[0])) if groups is None else np.asarray(groups)
        lengths = [len(column) for column in [*columns, labels]]
        if len(set(lengths)) > 1 or lengths[0] == 0:
            raise DataError(f"a bootstrap needs one entry per image in each array and in groups, got lengths {lengths}")
        _, patient, size = np.unique(labels, return_inverse=True, return_counts=True)
        return cls(np.argsort(patient, kind="stable"), np.cumsum(size) - size, size)

    def draws(self, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Yield the image indices of each resample; nothing if there is only one patient to draw."""
        patients = len(self.size)
        generator = np.random.default_rng(seed)
        for _ in range(resamples if patients > 1 else 0):
            chosen = generator.integers(patients, size=patients)
            size = self.size[chosen]
            shift = self.start[chosen] - (np.cumsum(size) - size)
            yield self.order[np.repeat(shift, size) + np.arange(size.sum())]


def _named(statistic: Statistic) -> Statistics:
    return lambda *arrays: {"value": float(statistic(*arrays))}


def _tabulate(names: Mapping[str, float], rows: Iterator[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    collected = list(rows)
    return {name: np.array([row[name] for row in collected], dtype=np.float64) for name in names}


def _summary(estimate: float, drawn: NDArray, level: float) -> tuple[float, float, float, float, int, int]:
    """Return the fields of an Interval, in order."""
    defined = drawn[~np.isnan(drawn)]
    skipped = len(drawn) - len(defined)
    if math.isnan(estimate) or len(defined) == 0:
        return estimate, math.nan, math.nan, level, len(defined), skipped
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return estimate, low, high, level, len(defined), skipped


def _p_value(drawn: NDArray) -> float:
    defined = drawn[~np.isnan(drawn)]
    if len(defined) == 0:
        return math.nan
    smaller = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(defined) + 1))


def _require_settings(resamples: int, level: float) -> None:
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(
            f"a bootstrap needs at least one resample and a level in (0, 1), got resamples={resamples}, level={level}"
        )
