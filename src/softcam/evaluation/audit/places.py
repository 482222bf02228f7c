"""How much of what tells the classes apart is written in each region, and how much lies outside the organ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softcam.evaluation.audit.associations import Draws, correlations
from softcam.evaluation.audit.evidence import AREA, POSITIVE_OUTSIDE, TOTAL, score_name
from softcam.evaluation.audit.regions import BORDER, CORNERS, OUTSIDE
from softcam.metrics.bootstrap import Interval, nan_mean

REGIONS = (*CORNERS, BORDER, OUTSIDE)


@dataclass(frozen=True)
class Place:
    """The evidence for a class in one region.

    Attributes:
        region: One of `REGIONS`.
        class_name: The class, against the rest.
        area: Share of the image that the region covers: what a map that is the same everywhere would have.
        share: Of corners and border: of the difference between the mean logits of images with and without the
            class, the part that comes from the region; offsets of the map cancel out of it. Of what is outside:
            of the positive evidence in images of the class, the mean share there.
        marks: For a corner: within-class rank correlation of its bright marks with the evidence in it.
    """

    region: str
    class_name: str
    area: float
    share: Interval
    marks: Interval | None = None


@dataclass(frozen=True)
class Outside:
    """An image, and how much of its evidence for a class lies outside the region of interest.

    Attributes:
        index: Its place among the examined images.
        image: Its path.
        class_name: The class.
        share: Of the positive evidence.
        area: Share of the image that is outside.
    """

    index: int
    image: str
    class_name: str
    share: float
    area: float


def places(
    scores: Mapping[str, NDArray],
    areas: Mapping[str, float],
    class_name: str,
    positive: NDArray,
    patients: Sequence[str],
    marks: Mapping[str, NDArray],
    draws: Draws,
) -> list[Place]:
    """Measure all regions for one class.

    Corners and border are left out where the evidence does not tell the class apart.

    Args:
        scores: What `AuditReader` gave.
        areas: Share of the image of corners and border.
        class_name: The class.
        positive: Whether images show it, ``(N,)``.
        patients: Whose image it is.
        marks: Bright marks of each corner, ``(N,)``.
        draws: Of the bootstrap.
    """
    found = []
    total = scores[score_name(TOTAL, class_name)]
    parts = {region: scores[score_name(region, class_name)] for region in areas}
    if tells_apart(total, positive, patients, draws):
        measured = _shares(parts, total, positive, patients, draws)
        follow = correlations(marks, parts, positive, patients, draws)
        found += [Place(region, class_name, areas[region], measured[region], follow.get(region)) for region in parts]
    if AREA in scores:
        outside = np.where(positive, scores[score_name(POSITIVE_OUTSIDE, class_name)], np.nan)
        if not np.isnan(outside).all():
            share = draws.table(lambda values: {OUTSIDE: nan_mean(values)}, [outside], patients)[OUTSIDE]
            found.append(Place(OUTSIDE, class_name, nan_mean(np.where(positive, scores[AREA], np.nan)), share))
    return found


def tells_apart(total: NDArray, positive: NDArray, patients: Sequence[str], draws: Draws) -> bool:
    """Whether images with and without a class surely differ in their evidence: else there is nothing to share out.

    Args:
        total: The evidence of each image, ``(N,)``.
        positive: Whether it shows the class, ``(N,)``.
        patients: Whose image it is.
        draws: Of the bootstrap.
    """
    table = draws.table(lambda truth, whole: {TOTAL: _difference(whole, truth)}, [positive, total], patients)
    return table[TOTAL].low > 0


def most_outside(
    scores: Mapping[str, NDArray], class_name: str, decided: NDArray, images: Sequence[str], count: int
) -> list[Outside]:
    """Find the images of a decision whose evidence lies most outside the region of interest.

    Args:
        scores: What `AuditReader` gave.
        class_name: The class.
        decided: Whether the model decides for it, ``(N,)``.
        images: Paths.
        count: How many to find at most.
    """
    if AREA not in scores:
        return []
    area, share = scores[AREA], scores[score_name(POSITIVE_OUTSIDE, class_name)]
    excess = np.where(decided, share - area, np.nan)
    order = [index for index in np.argsort(-excess, kind="stable") if not np.isnan(excess[index])]
    return [Outside(int(i), images[i], class_name, float(share[i]), float(area[i])) for i in order[:count]]


def _shares(
    parts: Mapping[str, NDArray],
    total: NDArray,
    positive: NDArray,
    patients: Sequence[str],
    draws: Draws,
) -> dict[str, Interval]:
    def compute(truth: NDArray, whole: NDArray, *values: NDArray) -> dict[str, float]:
        difference = _difference(whole, truth)
        if not difference > 0:
            return dict.fromkeys(parts, float("nan"))
        return {name: _difference(part, truth) / difference for name, part in zip(parts, values, strict=True)}

    arrays = [positive, total, *parts.values()]
    return draws.table(compute, arrays, patients)


def _difference(values: NDArray, truth: NDArray) -> float:
    return nan_mean(values[truth]) - nan_mean(values[~truth])
