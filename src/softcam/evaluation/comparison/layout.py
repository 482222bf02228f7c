"""A table as people read it: a method per row, a score per column, chance and ceilings below; Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from softcam.evaluation.comparison.scores import SCORES
from softcam.evaluation.comparison.tables import LEVEL, Cell, Row, Table
from softcam.metrics.classification import Direction

DASH = "–"
_ARROWS = {Direction.HIGHER: "↑", Direction.LOWER: "↓"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "–": "--",
    "’": "'",
}


@dataclass(frozen=True)
class Text:
    """A cell in words.

    Attributes:
        value: The number.
        interval: Its bounds, in brackets; empty without.
        best: Whether it is the best of its column.
        differs: Whether it differs from the reference.
    """

    value: str
    interval: str = ""
    best: bool = False
    differs: bool = False


@dataclass(frozen=True)
class Layout:
    """A table in words.

    Attributes:
        header: Of the columns.
        rows: The methods, then chance and ceilings.
        methods: How many of the rows are methods.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    methods: int


def lay_out(table: Table, *, with_models: bool) -> Layout:
    """Put a table into words.

    Args:
        table: The table.
        with_models: Whether to name the model of each method.
    """
    heads = [f"{SCORES[name].short} {_ARROWS[SCORES[name].direction]}" for name in table.metrics]
    best = {name: table.best(name) for name in table.metrics}
    methods = [_method(row, table.metrics, best, with_models) for row in table.rows]
    return Layout(("method", "map", "passes", "ms", *heads), (*methods, *_bound_rows(table)), len(methods))


def legend(table: Table) -> str:
    """Say how a table is to be read."""
    model, explainer = table.reference
    return (
        "Means over images; in brackets the 95 % interval, from a bootstrap over patients. "
        "Bold: the best, controls left aside. "
        f"* differs from {explainer} on {model}: paired bootstrap over patients, p < {LEVEL:g} after Holm's correction "
        "for the number of methods. Passes: forward passes per map; a backward pass counts two. "
        "Ceiling: what the annotation itself scores at that resolution."
    )


def to_markdown(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Write tables and notes as Markdown."""
    return "\n".join([*(line for table in tables for line in _markdown(table)), *(f"- {note}" for note in notes), ""])


def to_latex(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Write tables as LaTeX, to be used with the package booktabs; notes are comments."""
    return "\n".join([*(f"% {note}" for note in notes), *(line for table in tables for line in _latex(table)), ""])


def number(value: float, digits: int = 3) -> str:
    """Write a number; a dash where it is not defined."""
    return f"{value:.{digits}f}" if math.isfinite(value) else DASH


def cells_of(size: tuple[int, int] | None) -> str:
    """Write the size of a map, ``16×16``."""
    return f"{size[0]}×{size[1]}" if size else DASH


def method_name(row: Row, *, with_model: bool) -> str:
    """Write the method of a row, and on which model it is where that is not clear."""
    return f"{row.title} ({row.model})" if with_model else row.title


def _method(row: Row, metrics: Sequence[str], best: dict[str, float], with_models: bool) -> tuple[Text, ...]:
    facts = (
        method_name(row, with_model=with_models),
        cells_of(row.map_size),
        f"{row.passes:g}" if math.isfinite(row.passes) else DASH,
        _milliseconds(row.seconds),
    )
    return (*(Text(fact) for fact in facts), *(_cell(row.cells.get(name), best[name]) for name in metrics))


def _milliseconds(seconds: float) -> str:
    if not math.isfinite(seconds):
        return DASH
    return f"{1000 * seconds:.0f}" if seconds >= 0.01 else f"{1000 * seconds:.2g}"


def _cell(cell: Cell | None, best: float) -> Text:
    if cell is None:
        return Text(DASH)
    value = cell.value
    interval = f"[{number(value.low)}, {number(value.high)}]" if math.isfinite(value.low) else ""
    return Text(number(value.estimate), interval, value.estimate == best, cell.differs)


def _bound_rows(table: Table) -> Iterator[tuple[Text, ...]]:
    """Chance, and the ceiling of each resolution, where they are defined."""
    sizes = sorted({row.map_size for row in table.rows if row.map_size is not None})
    yield from _bound_row("chance", DASH, [_bound(table.rows, name, "chance") for name in table.metrics])
    for size in sizes:
        rows = [row for row in table.rows if row.map_size == size]
        yield from _bound_row("ceiling", cells_of(size), [_bound(rows, name, "ceiling") for name in table.metrics])


def _bound_row(name: str, size: str, values: Sequence[float]) -> Iterator[tuple[Text, ...]]:
    if any(math.isfinite(value) for value in values):
        yield tuple(map(Text, (name, size, "", "", *(number(value) for value in values))))


def _bound(rows: Sequence[Row], metric: str, bound: str) -> float:
    """The bound of the row that has the most images; they differ where a method has failed on some."""
    cells = [row.cells[metric] for row in rows if metric in row.cells]
    return float(getattr(max(cells, key=lambda cell: cell.images), bound)) if cells else math.nan


def _markdown(table: Table) -> Iterator[str]:
    layout = lay_out(table, with_models=len(table.models) > 1)
    yield f"## {table.title}\n"
    yield _piped(layout.header)
    yield _piped([":--", *("--:" for _ in layout.header[1:])])
    yield from (_piped([_marked(cell) for cell in row]) for row in layout.rows)
    yield f"\n{legend(table)}\n"
    yield from (f"- {note}" for note in table.notes)
    if table.notes:
        yield ""


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _marked(cell: Text) -> str:
    value = f"**{cell.value}**" if cell.best else cell.value
    return " ".join(filter(None, [value + (r"\*" if cell.differs else ""), cell.interval]))


def _latex(table: Table) -> Iterator[str]:
    layout = lay_out(table, with_models=len(table.models) > 1)
    yield r"\begin{table}"
    yield rf"\caption{{{_escaped(table.title)}. {_escaped(legend(table))}}}"
    yield r"\scriptsize"
    yield rf"\begin{{tabular}}{{l{'r' * (len(layout.header) - 1)}}}"
    yield r"\toprule"
    yield _ampersands([_escaped(head) for head in layout.header])
    yield r"\midrule"
    for place, row in enumerate(layout.rows):
        if place == layout.methods:
            yield r"\midrule"
        yield _ampersands([_typeset(cell) for cell in row])
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _ampersands(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _typeset(cell: Text) -> str:
    value = rf"\textbf{{{_escaped(cell.value)}}}" if cell.best else _escaped(cell.value)
    return " ".join(filter(None, [value + ("$^*$" if cell.differs else ""), _escaped(cell.interval)]))


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
