"""The tables of the report: scores with intervals, differences and bounds, confusion, settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from softcam.metrics.bootstrap import Interval, PairedDifference
from softcam.reporting.figures import Score

NOT_DEFINED = "–"

LABELS = {
    "accuracy": ("Accuracy", "share of right decisions"),
    "balanced_accuracy": ("Balanced accuracy", "mean recall of the classes"),
    "auroc": ("AUROC", "area under the ROC curve"),
    "auprc": ("AUPRC", "average precision"),
    "sensitivity": ("Sensitivity", "share of the positives found"),
    "specificity": ("Specificity", "share of the negatives left alone"),
    "kappa": ("Kappa", "agreement beyond chance, quadratic weights"),
    "ece": ("Calibration error", "lower is better"),
    "activation_precision": ("Activation precision", "share of the positive evidence that lies on the annotation"),
    "activation_sensitivity": (
        "Activation sensitivity",
        "height of the evidence on the annotation, relative to its peak; a uniform map scores 1",
    ),
    "pointing_game": ("Pointing game", "how often the highest evidence lies on the annotation"),
    "activation_consistency": ("Activation consistency", "share of cells whose sign agrees with the image’s label"),
    "locality": ("Locality", "how far each cell speaks of its own place; 1 is all of it"),
    "completeness": ("Completeness error", "largest |mean of map + bias − logit|, in logits"),
}
"""What the report calls a metric, and what it says about it."""

_UNTOLD = frozenset({"run.out", "data.manifest", "data.workers"})  # where things lay, and what changes no result


@dataclass(frozen=True)
class Note:
    """A line below a number."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Cell:
    """A number, its interval, and what is to be said about it."""

    value: str
    interval: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Row:
    """A metric, with a cell per model."""

    label: str
    hint: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Metrics by row, models by column.

    Attributes:
        rows: The metrics.
        first: Header of their names.
    """

    rows: tuple[Row, ...]
    first: str = "Metric"


@dataclass(frozen=True)
class Setting:
    """A setting in which runs differ, with its value in each."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """The settings of the runs: those that differ, and those that they share."""

    rows: tuple[Setting, ...]
    common: tuple[tuple[str, str], ...]


def number(value: float, digits: int = 3) -> str:
    """Write a number; a dash where it is not defined."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else NOT_DEFINED


def signed(value: float, digits: int = 2) -> str:
    """Write a number with its sign, zero without; a dash where it is not defined."""
    if not math.isfinite(value):
        return NOT_DEFINED
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def bounds(interval: Interval) -> str:
    """Write the two ends of an interval; nothing where they are not defined."""
    return f"[{number(interval.low)}, {number(interval.high)}]" if math.isfinite(interval.low) else ""


def stands_out(difference: PairedDifference) -> bool:
    """Say whether the interval of a difference leaves out zero."""
    return difference.low > 0 or difference.high < 0


def decisions_table(
    metrics: Sequence[Mapping[str, Interval]], differences: Sequence[Mapping[str, PairedDifference]]
) -> Table:
    """Lay out the classification metrics.

    Args:
        metrics: Of each model.
        differences: Of each model to the first; none for the first.
    """
    models = list(zip(metrics, differences, strict=True))
    return Table(
        tuple(
            Row(*_label(name), tuple(_cell(model[name], _difference_notes(d.get(name))) for model, d in models))
            for name in metrics[0]
        )
    )


def explanations_table(
    scores: Sequence[Mapping[str, Score]],
    completeness: Sequence[float | None],
    map_sizes: Sequence[Sequence[int] | None],
    differences: Sequence[Mapping[str, PairedDifference]],
) -> Table:
    """Lay out the scores of the evidence beside chance and ceiling.

    Args:
        scores: Of each model; without those that could not be measured.
        completeness: Largest completeness error of each model, in logits; None without evidence.
        map_sizes: Cells of each model's map, likewise.
        differences: Of each model to the first; none for the first.
    """
    models = list(zip(scores, differences, strict=True))
    rows = [
        Row(*_label(name), tuple(_score_cell(model.get(name), d.get(name)) for model, d in models))
        for name in LABELS
        if any(name in model for model in scores)
    ]
    errors = tuple(Cell(NOT_DEFINED if error is None else scientific(error)) for error in completeness)
    sizes = tuple(Cell(NOT_DEFINED if size is None else cells_of(size)) for size in map_sizes)
    return Table((*rows, Row(*_label("completeness"), errors), Row("Map", "cells", sizes)))


def scientific(value: float) -> str:
    """Write a small number, ``2e−06``."""
    return f"{value:.0e}".replace("-", "−")


def cells_of(size: Sequence[int]) -> str:
    """Write the size of a map, ``16×16``."""
    return "×".join(map(str, size))


def share_of_ceiling(score: Score) -> float:
    """Return the score as a share of its ceiling; NaN where there is none."""
    return score.value.estimate / score.ceiling if score.ceiling else math.nan


def times_chance(score: Score) -> float:
    """Return how many times chance the score is; NaN where there is none."""
    return score.value.estimate / score.chance if score.chance else math.nan


def settings_table(configs: Sequence[Mapping[str, Any]]) -> Settings:
    """Compare the configurations of runs.

    Args:
        configs: Nested settings of each run, as its model's card holds them.
    """
    flat = [dict(_flat(config)) for config in configs]
    names = [name for name in dict.fromkeys(name for each in flat for name in each) if name not in _UNTOLD]
    values = {name: tuple(_written(each.get(name)) for each in flat) for name in names}
    return Settings(
        rows=tuple(Setting(name, cells) for name, cells in values.items() if len(set(cells)) > 1),
        common=tuple((name, cells[0]) for name, cells in values.items() if len(set(cells)) == 1),
    )


def _label(name: str) -> tuple[str, str]:
    return LABELS.get(name, (name.replace("_", " ").capitalize(), ""))


def _cell(interval: Interval, notes: tuple[Note, ...]) -> Cell:
    return Cell(number(interval.estimate), bounds(interval), notes)


def _score_cell(score: Score | None, difference: PairedDifference | None) -> Cell:
    if score is None:
        return Cell(NOT_DEFINED)
    return _cell(score.value, (*_bound_notes(score), *_difference_notes(difference)))


def _bound_notes(score: Score) -> tuple[Note, ...]:
    if score.chance is None or score.ceiling is None:
        return ()
    share = f", {share_of_ceiling(score):.0%} of it" if score.ceiling > score.chance else ""
    return Note(f"chance {number(score.chance)}"), Note(f"ceiling {number(score.ceiling)}{share}")


def _difference_notes(difference: PairedDifference | None) -> tuple[Note, ...]:
    if difference is None or not math.isfinite(difference.estimate):
        return ()
    ends = f"[{signed(difference.low, 3)}, {signed(difference.high, 3)}]" if math.isfinite(difference.low) else ""
    return (Note(f"Δ {signed(difference.estimate, 3)} {ends}".rstrip(), stands_out(difference)),)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _written(value: object) -> str:
    if value is None:
        return NOT_DEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_written, value)) if isinstance(value, list | tuple) else str(value)
