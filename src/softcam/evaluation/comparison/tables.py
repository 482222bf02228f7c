"""The rows of the result: every explainer with all of its scores, beside chance, ceiling and the reference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from softcam.evaluation.comparison.plan import EVIDENCE, Plan
from softcam.evaluation.comparison.records import Record
from softcam.evaluation.comparison.run import Explained
from softcam.evaluation.comparison.scores import FAITHFULNESS, KEPT, SCORES
from softcam.evaluation.comparison.statistics import (
    Column,
    Difference,
    Draws,
    bounds,
    curve_means,
    differences,
    holm,
    means,
)
from softcam.explainers import METHODS
from softcam.metrics.bootstrap import Interval, nan_mean

CONTROLS = ("random", "uniform")
"""Maps that look at no model: they say what a score is worth by chance."""

LEVEL = 0.05
"""Corrected p-value below which a difference counts as one."""


@dataclass(frozen=True)
class Cell:
    """A score of an explainer.

    Attributes:
        value: The mean over images, with its 95 % interval.
        chance: The mean of a map that knows nothing; NaN where there is no such thing.
        ceiling: The mean of the annotation itself at the map's resolution, likewise.
        images: How many images have the score.
        difference: To the reference of the table; None for the reference itself.
    """

    value: Interval
    chance: float
    ceiling: float
    images: int
    difference: Difference | None = None

    @property
    def differs(self) -> bool:
        """Whether the difference to the reference is more than chance, after correction."""
        return self.difference is not None and self.difference.adjusted < LEVEL


@dataclass(frozen=True)
class Row:
    """An explainer on a model.

    Attributes:
        model: Name of the model.
        explainer: Name of the explainer.
        map_size: Resolution of its maps; None if it has failed on all images.
        passes: Forward passes per map.
        seconds: Time per map, the median over images.
        failures: Images on which it has failed.
        cells: Its scores, by name.
        curves: The curves behind them, a point with its interval each.
    """

    model: str
    explainer: str
    map_size: tuple[int, int] | None
    passes: float
    seconds: float
    failures: int
    cells: Mapping[str, Cell]
    curves: Mapping[str, tuple[Interval, ...]]

    @property
    def title(self) -> str:
        """What the field calls the explainer."""
        return METHODS[self.explainer].title if self.explainer in METHODS else self.explainer


@dataclass(frozen=True)
class Table:
    """Explainers side by side.

    Attributes:
        name: Short, for files.
        title: What it shows.
        reference: Model and explainer that the others are tested against.
        rows: The explainers.
        notes: What is to be said about them.
    """

    name: str
    title: str
    reference: tuple[str, str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores that some row has, in the order of all tables."""
        return tuple(name for name in SCORES if any(name in row.cells for row in self.rows))

    @property
    def models(self) -> tuple[str, ...]:
        """The models, each once."""
        return tuple(dict.fromkeys(row.model for row in self.rows))

    def best(self, metric: str) -> float:
        """Return the best value of a score, controls left aside."""
        methods = [row for row in self.rows if row.explainer not in CONTROLS and metric in row.cells]
        values = [row.cells[metric].value.estimate for row in methods]
        direction, best = SCORES[metric].direction, math.nan
        for value in values:
            best = value if direction.improves(value, best) else best
        return best


def make_tables(plan: Plan, explained: Explained) -> tuple[Table, ...]:
    """Make a table of each model, with every explainer on it, and one of the black box.

    In the latter the post-hoc methods explain the separately trained black box, and each SoftCAM itself.
    """
    analysis = _Analysis(plan, explained)
    names = [contender.name for contender in plan.contenders if contender.name != plan.black_box]
    reference = plan.settings.reference
    tables = [
        analysis.table(
            name, f"Every method on {name}", (name, reference), [key for key in explained.records if key[0] == name]
        )
        for name in names
    ]
    if plan.black_box is not None:
        evidence = [key for key in explained.records if key[0] in names and key[1].startswith(EVIDENCE)]
        post_hoc = [key for key in explained.records if key[0] == plan.black_box]
        reference_key = (names[0], reference)
        rows = list(dict.fromkeys([reference_key, *evidence, *post_hoc]))
        title = f"Post-hoc methods on {plan.black_box}, a black box trained separately, and SoftCAM on its own network"
        tables.append(analysis.table(plan.black_box, title, reference_key, rows))
    return tuple(tables)


class _Analysis:
    """All columns of a comparison, each made once."""

    def __init__(self, plan: Plan, explained: Explained) -> None:
        self.records = explained.records
        self.images = [str(sample.image) for sample in plan.samples]
        settings = plan.settings
        patients = np.array([sample.patient for sample in plan.samples])
        self.draws = Draws(patients, settings.resamples, settings.seed)
        self.columns = {key: self._columns(records) for key, records in self.records.items()}
        self.rows = {key: self._row(key) for key in self.records}

    def table(self, name: str, title: str, reference: tuple[str, str], keys: Sequence[tuple[str, str]]) -> Table:
        """Put rows side by side and test each against the reference."""
        others = [key for key in keys if key != reference]
        paired = {key: differences(self.columns[key], self.columns[reference], self.draws) for key in others}
        adjusted = {
            metric: dict(zip(tested, holm([paired[key][metric].p_value for key in tested]), strict=True))
            for metric in SCORES
            if (tested := [key for key in others if metric in paired[key]])
        }
        return Table(
            name,
            title,
            reference,
            tuple(
                _with_differences(
                    self.rows[key],
                    {
                        metric: Difference(difference, adjusted[metric][key])
                        for metric, difference in paired.get(key, {}).items()
                    },
                )
                for key in keys
            ),
            tuple(note for key in keys for note in self._failure_note(key)),
        )

    def _columns(self, records: Mapping[int, Record]) -> dict[str, Column]:
        columns = {name: Column.of(name, records, len(self.images)) for name in SCORES}
        return {name: column for name, column in columns.items() if column.images}

    def _row(self, key: tuple[str, str]) -> Row:
        records, columns = self.records[key], self.columns[key]
        values = means(columns, self.draws)
        sizes = Counter(record.map_size for record in records.values() if record.map_size is not None)
        return Row(
            *key,
            map_size=sizes.most_common(1)[0][0] if sizes else None,
            passes=nan_mean([record.passes for record in records.values()]),
            seconds=_median([record.seconds for record in records.values()]),
            failures=sum(bool(record.error) for record in records.values()),
            cells={name: Cell(values[name], *bounds(column), column.images) for name, column in columns.items()},
            curves={name: self._curve(name, records) for name in _curve_names(columns)},
        )

    def _curve(self, name: str, records: Mapping[int, Record]) -> tuple[Interval, ...]:
        curves = [records[i].curves.get(name) if i in records else None for i in range(len(self.images))]
        return curve_means(curves, self.draws)

    def _failure_note(self, key: tuple[str, str]) -> Iterable[str]:
        failed = [record for record in self.records[key].values() if record.error]
        if failed:
            first = min(failed, key=lambda record: record.image)
            yield (
                f"{key[1]} on {key[0]} has no map of {len(failed)} of {len(self.records[key])} images "
                f"(the first: {self.images[first.image]}: {first.error})."
            )


def _curve_names(metrics: Iterable[str]) -> Iterator[str]:
    for name in metrics:
        if SCORES[name].curve is not None:
            yield name
        if name in FAITHFULNESS:
            yield name + KEPT


def _with_differences(row: Row, found: Mapping[str, Difference]) -> Row:
    cells = {name: replace(cell, difference=found.get(name)) for name, cell in row.cells.items()}
    return replace(row, cells=cells)


def _median(values: Sequence[float]) -> float:
    defined = [value for value in values if math.isfinite(value)]
    return float(np.median(defined)) if defined else math.nan
