"""From numbers per image to numbers per explainer: means, intervals, paired tests.

All are means over the images that have the number, resampled by patient. A pair is compared on the images where both
have it. Holm's correction (1979) is over the explainers of a table, for each score by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softcam.evaluation.comparison.records import Record
from softcam.metrics.bootstrap import Interval, PairedDifference, Statistics, bootstrap_table, nan_mean, paired_table


@dataclass(frozen=True)
class Draws:
    """The bootstrap.

    Attributes:
        patients: Whose image it is, ``(N,)``.
        resamples: Number of draws.
        seed: Seed of the draws.
    """

    patients: NDArray[Any]
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Column:
    """One score of one explainer for every image, NaN where an image has none: ``(N,)`` each.

    Attributes:
        values: The score.
        chance: Of a map that knows nothing.
        ceiling: Of the annotation itself at the map's resolution.
    """

    values: NDArray[np.float64]
    chance: NDArray[np.float64]
    ceiling: NDArray[np.float64]

    @classmethod
    def of(cls, name: str, records: Mapping[int, Record], images: int) -> Column:
        """Collect a score from the records of an explainer, by image."""
        parts = [
            [part.get(name, math.nan) for part in (record.values, record.chance, record.ceiling)]
            for record in (records.get(index, _NOTHING) for index in range(images))
        ]
        return cls(*np.array(parts, dtype=np.float64).reshape(images, 3).T)

    @property
    def images(self) -> int:
        """How many images have the score."""
        return int(np.isfinite(self.values).sum())


@dataclass(frozen=True)
class Difference:
    """A score of one explainer less that of the reference.

    Attributes:
        paired: The difference, its interval and its p-value.
        adjusted: The p-value after Holm's correction.
    """

    paired: PairedDifference
    adjusted: float


_NOTHING = Record("", -1)


def means(columns: Mapping[str, Column], draws: Draws) -> dict[str, Interval]:
    """Return the mean of each score with its interval, all from the same draws of patients.

    Args:
        columns: The scores of one explainer.
        draws: The bootstrap.
    """
    if not columns:
        return {}
    matrix = np.stack([column.values for column in columns.values()], axis=1)
    return bootstrap_table(
        _column_means(list(columns)), [matrix], draws.patients, resamples=draws.resamples, seed=draws.seed
    )


def bounds(column: Column) -> tuple[float, float]:
    """Return chance and ceiling, means over the images that have the score."""
    scored = np.isfinite(column.values)
    return nan_mean(column.chance[scored]), nan_mean(column.ceiling[scored])


def differences(
    columns: Mapping[str, Column], reference: Mapping[str, Column], draws: Draws
) -> dict[str, PairedDifference]:
    """Return the mean difference to the reference of each score that both have, with its interval.

    Args:
        columns: The scores of one explainer.
        reference: Those of the one it is held against.
        draws: The bootstrap.
    """
    names = [name for name in columns if name in reference]
    if not names:
        return {}
    pairs = [(columns[name].values, reference[name].values) for name in names]
    both = [np.isfinite(a) & np.isfinite(b) for a, b in pairs]
    first, second = (
        np.stack([np.where(shared, pair[side], np.nan) for pair, shared in zip(pairs, both, strict=True)], axis=1)
        for side in (0, 1)
    )
    statistics = _column_means(names)
    return paired_table(statistics, [first], [second], draws.patients, resamples=draws.resamples, seed=draws.seed)


def curve_means(curves: Sequence[Sequence[float] | None], draws: Draws) -> tuple[Interval, ...]:
    """Return the mean curve over images with the interval of each point.

    Args:
        curves: Of each image, all of one length; None for an image without.
        draws: The bootstrap.

    Returns:
        One interval per point; nothing where no image has a curve.
    """
    length = max((len(curve) for curve in curves if curve is not None), default=0)
    if not length:
        return ()
    blank = (math.nan,) * length
    matrix = np.array([blank if curve is None else curve for curve in curves], dtype=np.float64)
    points = [str(point) for point in range(length)]
    table = bootstrap_table(_column_means(points), [matrix], draws.patients, resamples=draws.resamples, seed=draws.seed)
    return tuple(table[point] for point in points)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979): the chance of a single false alarm stays below the level.

    Args:
        p_values: Of the tests; NaN for one that could not be made, which does not count.

    Returns:
        The corrected p-values, in the same order.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[place] = largest
    return adjusted


def _column_means(names: Sequence[str]) -> Statistics:
    def compute(matrix: NDArray[np.float64]) -> dict[str, float]:
        defined = np.isfinite(matrix)
        counts = defined.sum(axis=0)
        totals = np.where(defined, matrix, 0.0).sum(axis=0)
        values = np.where(counts > 0, totals / np.maximum(counts, 1), math.nan)
        return dict(zip(names, values.tolist(), strict=True))

    return compute
