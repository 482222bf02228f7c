"""How far a property of images goes with their labels, and with what a model makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from softcam.evaluation.audit.properties import PROPERTIES, Kind
from softcam.metrics.bootstrap import Interval, Statistics, bootstrap_table
from softcam.metrics.curves import auroc

FAMILY_LEVEL = 0.95
"""Confidence that all intervals of an audit hold at once."""


@dataclass(frozen=True)
class Association:
    """What one property has to do with one class.

    Attributes:
        name: Of the property, see `PROPERTIES`.
        class_name: The class, against the rest.
        separation: AUROC of the property for the label; .5 is chance, below it the class has less of the property.
        follows: Rank correlation of the property with the model's logit among images of the same label: what the
            label explains is taken out. None where no model was asked.
    """

    name: str
    class_name: str
    separation: Interval
    follows: Interval | None = None

    @property
    def title(self) -> str:
        """What the property is."""
        return PROPERTIES[self.name].title

    @property
    def kind(self) -> Kind:
        """What it is a property of."""
        return PROPERTIES[self.name].kind


@dataclass(frozen=True)
class Draws:
    """A bootstrap over patients.

    Attributes:
        level: Confidence level of each interval.
        resamples: How many draws.
        seed: Seed of the draws.
    """

    level: float
    resamples: int
    seed: int

    def table(self, compute: Statistics, arrays: Sequence[NDArray], patients: Sequence[str]) -> dict[str, Interval]:
        """Estimate several numbers with their intervals, see `softcam.metrics.bootstrap.bootstrap_table`."""
        return bootstrap_table(compute, arrays, patients, level=self.level, resamples=self.resamples, seed=self.seed)


def within_class_correlation(a: NDArray, b: NDArray, positive: NDArray) -> float:
    """Rank correlation (Spearman) of two numbers within either label, the two weighted by their images.

    Args:
        a: ``(N,)``.
        b: ``(N,)``.
        positive: Label ``(N,)``, bool.

    Returns:
        From -1 to 1; 0 where one of the numbers is constant, NaN without images.

    Example:
        >>> truth = np.array([0, 0, 0, 1, 1, 1], dtype=bool)
        >>> within_class_correlation(np.array([1, 2, 3, 7, 8, 9]), np.array([3, 2, 1, 30, 20, 10]), truth)
        -1.0
    """
    ranks = (_ranks(np.asarray(values)[:, None], positive) for values in (a, b))
    return float(_correlation(positive, *ranks)[0])


def separations(
    columns: Mapping[str, NDArray],
    positive: NDArray,
    patients: Sequence[str],
    draws: Draws,
) -> dict[str, Interval]:
    """AUROC of each property for a label, with intervals from a bootstrap over patients.

    Args:
        columns: Properties ``(N,)`` by name.
        positive: Label ``(N,)``, bool.
        patients: Whose image it is.
        draws: Of the bootstrap.
    """

    def compute(truth: NDArray, *values: NDArray) -> dict[str, float]:
        return {name: auroc(each, truth) for name, each in zip(columns, values, strict=True)}

    return draws.table(compute, [positive, *columns.values()], patients)


def correlations(
    columns: Mapping[str, NDArray],
    outputs: Mapping[str, NDArray],
    positive: NDArray,
    patients: Sequence[str],
    draws: Draws,
) -> dict[str, Interval]:
    """Within-class rank correlation of each property with its output, as `separations`.

    Ranks are taken once, over all images of a label, and not anew in every draw, which hardly moves the interval.

    Args:
        columns: Properties ``(N,)`` by name.
        outputs: What each of them is held against, ``(N,)`` by the same names.
        positive: As for `separations`.
        patients: As for `separations`.
        draws: As for `separations`.
    """
    names = list(columns)
    a = _ranks(np.stack([columns[name] for name in names], axis=1), positive)
    b = _ranks(np.stack([outputs[name] for name in names], axis=1), positive)

    def compute(truth: NDArray, x: NDArray, y: NDArray) -> dict[str, float]:
        return dict(zip(names, _correlation(truth, x, y).tolist(), strict=True))

    return draws.table(compute, [positive, a, b], patients)


def corrected_level(tests: int) -> float:
    """Level of each of several intervals so that all hold at once with `FAMILY_LEVEL` (Bonferroni)."""
    return 1 - (1 - FAMILY_LEVEL) / max(1, tests)


def _ranks(values: NDArray, positive: NDArray) -> NDArray[np.float64]:
    """Ranks of each column ``(N, P)`` among the images of the same label."""
    ranks = np.empty(values.shape)
    for group in (positive, ~positive):
        ranks[group] = rankdata(values[group], axis=0)
    return ranks


def _correlation(positive: NDArray, a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Correlation of the columns ``(N, P)`` within either label, weighted by the images, ``(P,)``."""
    total = np.zeros(a.shape[1])
    for group in (positive, ~positive):
        if group.any():
            x, y = a[group] - a[group].mean(axis=0), b[group] - b[group].mean(axis=0)
            spread = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
            total += group.sum() * (x * y).sum(axis=0) / np.where(spread > 0, spread, np.inf)
    return total / len(positive) if len(positive) else np.full(a.shape[1], np.nan)
