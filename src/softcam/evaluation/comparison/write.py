"""A comparison on disk, beside the records that it was made of.

::

    DIR/comparison.md      the tables, for people
    DIR/comparison.tex     the same, for a paper
    DIR/comparison.csv     the same, a row for each score of each method
    DIR/comparison.json    all of it, curves included
    DIR/curves.csv         mean curves with their intervals
    DIR/scores.csv         every number of every image, to redo the statistics from
    DIR/records/           what a run that was stopped goes on from
    DIR/maps/              maps of the few images that figures show
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from softcam.evaluation.comparison.layout import to_latex, to_markdown
from softcam.evaluation.comparison.plan import Plan
from softcam.evaluation.comparison.records import Record
from softcam.evaluation.comparison.run import Explained
from softcam.evaluation.comparison.scores import KEPT, LOCALIZATION, SCORES
from softcam.evaluation.comparison.tables import Cell, Row, Table
from softcam.evaluation.result import plain
from softcam.files import atomic_path

_COLUMNS = (
    "table",
    "model",
    "explainer",
    "metric",
    "better",
    "estimate",
    "low",
    "high",
    "chance",
    "ceiling",
    "images",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "p_holm",
    "map_rows",
    "map_columns",
    "failures",
    "forward_passes",
    "seconds",
)
_IMAGE_COLUMNS = (
    "model",
    "explainer",
    "image",
    "patient",
    "map_rows",
    "map_columns",
    "forward_passes",
    "seconds",
    "error",
)


def write_tables(plan: Plan, explained: Explained, tables: Sequence[Table], notes: Sequence[str], out: Path) -> None:
    """Write tables, curves and the numbers of each image.

    Args:
        plan: What was compared.
        explained: The numbers of each image.
        tables: What they come to.
        notes: What is to be said about all tables.
        out: The folder.
    """
    _write_text(out / "comparison.md", to_markdown(tables, notes))
    _write_text(out / "comparison.tex", to_latex(tables, notes))
    _write_text(out / "comparison.json", json.dumps(facts(plan, tables, notes), ensure_ascii=False, indent=1) + "\n")
    _write_csv(out / "comparison.csv", _COLUMNS, (line for table in tables for line in _lines(table)))
    curves = ("table", "model", "explainer", "curve", "place", "estimate", "low", "high")
    _write_csv(out / "curves.csv", curves, (line for table in tables for line in _curve_lines(table)))
    _write_csv(
        out / "scores.csv", (*_IMAGE_COLUMNS, *_score_columns(plan.metrics)), _image_lines(plan, explained.records)
    )


def facts(plan: Plan, tables: Sequence[Table], notes: Sequence[str]) -> dict[str, Any]:
    """Return the comparison as JSON can hold it; a number that is not defined is None."""
    result: dict[str, Any] = plain(
        {
            "images": len(plan.samples),
            "patients": len({sample.patient for sample in plan.samples}),
            "metrics": plan.metrics,
            "settings": plan.settings,
            "tables": tables,
            "notes": notes,
        }
    )
    return result


def _lines(table: Table) -> Iterator[list[Any]]:
    for row in table.rows:
        for metric in table.metrics:
            if metric in row.cells:
                yield [
                    table.name,
                    row.model,
                    row.explainer,
                    metric,
                    SCORES[metric].direction,
                    *_numbers(row, row.cells[metric]),
                ]


def _numbers(row: Row, cell: Cell) -> list[Any]:
    value, found = cell.value, cell.difference
    tested = (
        [math.nan] * 5
        if found is None
        else [found.paired.estimate, found.paired.low, found.paired.high, found.paired.p_value, found.adjusted]
    )
    size = row.map_size or (math.nan, math.nan)
    estimates = [value.estimate, value.low, value.high, cell.chance, cell.ceiling, cell.images]
    return [*estimates, *tested, *size, row.failures, row.passes, row.seconds]


def _curve_lines(table: Table) -> Iterator[list[Any]]:
    for row in table.rows:
        for name, points in row.curves.items():
            curve = SCORES[name.removesuffix(KEPT)].curve
            for place, point in enumerate(points, start=curve.first if curve else 0):
                yield [table.name, row.model, row.explainer, name, place, point.estimate, point.low, point.high]


def _score_columns(metrics: Sequence[str]) -> list[str]:
    located = [name for name in metrics if name in LOCALIZATION]
    return [*metrics, *(f"{name}_{bound}" for name in located for bound in ("chance", "ceiling"))]


def _image_lines(plan: Plan, records: Mapping[tuple[str, str], Mapping[int, Record]]) -> Iterator[list[Any]]:
    for (model, explainer), of_images in records.items():
        for index, sample in enumerate(plan.samples):
            record = of_images[index]
            bounds = {f"{name}_chance": value for name, value in record.chance.items()}
            bounds |= {f"{name}_ceiling": value for name, value in record.ceiling.items()}
            numbers = {**record.values, **bounds}
            facts = [*(record.map_size or (math.nan, math.nan)), record.passes, record.seconds, record.error]
            scores = [numbers.get(name, math.nan) for name in _score_columns(plan.metrics)]
            yield [model, explainer, sample.image, sample.patient, *facts, *scores]


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([_written(value) for value in line] for line in lines)


def _written(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return value


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
