"""Figures of a comparison, for print and page: curves, precision against sensitivity, all scores at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from softcam.evaluation.comparison.layout import method_name
from softcam.evaluation.comparison.scores import FAITHFULNESS, KEPT, SCORES
from softcam.evaluation.comparison.tables import CONTROLS, Row, Table
from softcam.explainers import METHODS, Resolution
from softcam.files import atomic_path
from softcam.metrics.bootstrap import nan_mean
from softcam.metrics.classification import Direction

PRECISION, SENSITIVITY = "activation_precision", "activation_sensitivity"

_EVIDENCE, _GREY = "#c8504b", "#8a929c"
_COLOURS = (
    "#2b8cd6",
    "#e08214",
    "#2a9d6f",
    "#b765c4",
    "#8c5a2b",
    "#17a2b8",
    "#1f3f8f",
    "#b8a800",
    "#e377a8",
    "#5a7d2a",
)
_LINES = {Resolution.CELLS: "-", Resolution.SQUARES: (0, (6, 1.5, 1, 1.5)), Resolution.PIXELS: (0, (4, 1.5))}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "softcam",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Style:
    """How a method is drawn in all figures.

    Attributes:
        colour: Red for evidence, grey for controls.
        line: Solid for methods that speak of cells, dashed for those that speak of pixels.
        width: Evidence is drawn thicker.
    """

    colour: str
    line: Any
    width: float


def styles(table: Table) -> list[Style]:
    """Give each row of a table its style; the same method has the same in all tables."""
    others = [name for name in METHODS if name not in CONTROLS and not name.startswith("softcam")]
    unknown = [row.explainer for row in table.rows if row.explainer not in METHODS]
    places = {name: place for place, name in enumerate(dict.fromkeys([*others, *unknown]))}
    return [_style(row, places, table.reference) for row in table.rows]


def curve_figure(table: Table, metric: str) -> Figure:
    """Draw the mean curve of each method, with the 95 % band of the reference.

    Beside the probability, deletion and insertion show the share of the images that are decided as before.

    Args:
        table: The methods.
        metric: A score that sums up a curve.
    """
    names = [metric, metric + KEPT] if metric in FAITHFULNESS else [metric]
    better = "lower" if SCORES[metric].direction is Direction.LOWER else "higher"
    with _figure(4.2 * len(names) + 2.4, 4.0) as figure:
        panels = figure.subplots(1, len(names), squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            _draw_curves(axes, table, metric, name)
        panels[0].set_title(f"{SCORES[metric].title} ({better} is better)")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
        return figure


def precision_sensitivity_figure(table: Table) -> Figure:
    """Draw sensitivity against precision, with 95 % intervals: the farther up and right the better."""
    with _figure(6.6, 4.4) as figure:
        axes = figure.add_subplot()
        for row, style in zip(table.rows, styles(table), strict=True):
            if PRECISION in row.cells and SENSITIVITY in row.cells:
                x, y = row.cells[PRECISION].value, row.cells[SENSITIVITY].value
                drawn: dict[str, Any] = {"color": style.colour, "linewidth": 1.2, "zorder": 2 + style.width}
                axes.plot([x.low, x.high], [y.estimate] * 2, **drawn)
                axes.plot([x.estimate] * 2, [y.low, y.high], **drawn)
                marker = "o" if style.line == "-" else "D"
                axes.plot(x.estimate, y.estimate, marker, markersize=6, label=_label(table, row), **drawn)
        axes.axvline(_chance(table.rows, PRECISION), color=_GREY, linewidth=1, linestyle=(0, (2, 1.5)))
        axes.set(title="Sensitivity against precision", xlabel="activation precision", ylabel="activation sensitivity")
        axes.set(xlim=(0, None), ylim=(0, 1.03))
        figure.legend(loc="outside right upper")
        return figure


def scores_figure(table: Table) -> Figure:
    """Draw every score of every method: the interval, chance as a dotted line, the method's ceiling as a tick."""
    metrics = table.metrics
    columns = min(4, len(metrics))
    lines = -(-len(metrics) // columns)
    with _figure(2.4 * columns + 1.8, lines * (0.24 * len(table.rows) + 0.8)) as figure:
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for axes in panels.flat[len(metrics) :]:
            axes.set_visible(False)
        for axes, metric in zip(panels.flat, metrics, strict=False):
            _draw_scores(axes, table, metric)
        for line in panels:
            line[0].set_yticks([-place for place in range(len(table.rows))], [_label(table, row) for row in table.rows])
            line[0].set_ylim(0.6 - len(table.rows), 0.6)
        return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and SVG.

    Args:
        figure: The figure.
        path: Of the files, without a suffix.
    """
    with matplotlib.rc_context(_SETTINGS):
        for suffix, settings in ((".png", {"dpi": 160}), (".svg", {"metadata": {"Date": None}})):
            with atomic_path(path.with_name(path.name + suffix)) as temporary:
                figure.savefig(temporary, **settings)
            figure.set_layout_engine("none")  # what was laid out for the first file serves the second


def _style(row: Row, places: dict[str, int], reference: tuple[str, str]) -> Style:
    if (row.model, row.explainer) == reference:
        return Style(_EVIDENCE, "-", 2.6)
    if row.explainer.startswith("softcam"):
        return Style(_EVIDENCE, (0, (1.2, 1.2)), 1.8)
    if row.explainer in CONTROLS:
        return Style(_GREY, (0, (1, 1.5)) if row.explainer == "random" else (0, (6, 1.5, 1, 1.5)), 1.3)
    method = METHODS.get(row.explainer)
    line = _LINES[method.resolution if method else Resolution.PIXELS]
    return Style(_COLOURS[places[row.explainer] % len(_COLOURS)], line, 1.5)


def _drawn(style: Style) -> dict[str, Any]:
    return {"color": style.colour, "linestyle": style.line, "linewidth": style.width, "zorder": 2 + style.width}


def _draw_curves(axes: Axes, table: Table, metric: str, name: str) -> None:
    curve = SCORES[metric].curve
    assert curve is not None
    for row, style in zip(table.rows, styles(table), strict=True):
        points = row.curves.get(name, ())
        x = np.arange(len(points)) + curve.first
        if (row.model, row.explainer) == table.reference:
            axes.fill_between(x, [p.low for p in points], [p.high for p in points], color=style.colour, alpha=0.15)
        axes.plot(x, [p.estimate for p in points], label=_label(table, row), **_drawn(style))
    _chance_line(axes, table.rows, metric)
    axes.set(xlabel=curve.axis, ylabel="share of images decided as before" if name != metric else curve.height)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _label(table: Table, row: Row) -> str:
    return method_name(row, with_model=len(table.models) > 1)


def _draw_scores(axes: Axes, table: Table, metric: str) -> None:
    for place, (row, style) in enumerate(zip(table.rows, styles(table), strict=True)):
        cell = row.cells.get(metric)
        if cell is not None:
            axes.plot([cell.ceiling] * 2, [-place - 0.3, -place + 0.3], color=style.colour, linewidth=1.2)
            axes.plot([cell.value.low, cell.value.high], [-place] * 2, color=style.colour, linewidth=2)
            axes.plot(cell.value.estimate, -place, "o", color=style.colour, markersize=4.5)
    _chance_line(axes, table.rows, metric, vertical=True)
    arrow = "←" if SCORES[metric].direction is Direction.LOWER else "→"
    axes.set_title(f"{SCORES[metric].short} {arrow}")
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def _chance_line(axes: Axes, rows: Sequence[Row], metric: str, *, vertical: bool = False) -> None:
    chance = _chance(rows, metric)
    if np.isfinite(chance):
        (axes.axvline if vertical else axes.axhline)(chance, color=_GREY, linewidth=1, linestyle=(0, (2, 1.5)))


def _chance(rows: Sequence[Row], metric: str) -> float:
    return nan_mean([row.cells[metric].chance for row in rows if metric in row.cells])


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """A figure in the style of all; nothing global is touched, nothing has to be closed."""
    with matplotlib.rc_context(_SETTINGS):
        yield Figure(figsize=(width, height), layout="constrained")
