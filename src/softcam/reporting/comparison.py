"""Figures and page of a comparison, from its tables and the few maps that were kept.

::

    DIR/comparison.html                  tables and figures in one self-contained page
    DIR/figures/TABLE-deletion.png       and .svg: curves; also insertion, topk_precision
    DIR/figures/TABLE-sensitivity.png    and .svg: sensitivity against precision
    DIR/figures/TABLE-scores.png         and .svg: all scores with intervals, chance and ceilings
    DIR/figures/TABLE-gallery.jpg        images and maps side by side, annotations outlined
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

import softcam
from softcam.evaluation.comparison.gallery import MapFolder, safe_name
from softcam.evaluation.comparison.layout import Layout, lay_out, legend, method_name
from softcam.evaluation.comparison.plan import Plan
from softcam.evaluation.comparison.run import MAPS
from softcam.evaluation.comparison.scores import SCORES
from softcam.evaluation.comparison.tables import CONTROLS, Table
from softcam.files import atomic_path
from softcam.reporting.comparison_figures import (
    PRECISION,
    SENSITIVITY,
    curve_figure,
    precision_sensitivity_figure,
    save_figure,
    scores_figure,
)
from softcam.reporting.comparison_gallery import gallery_figure, gallery_rows
from softcam.reporting.figures import Embedded, data_uri

TEMPLATE = "comparison.html.jinja"
PAGE = "comparison.html"


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        image: It.
        wide: Whether it has several panels.
    """

    image: Embedded
    wide: bool


@dataclass(frozen=True)
class Section:
    """A table as the page shows it.

    Attributes:
        table: The table.
        layout: The table in words.
        legend: How it is to be read.
        figures: Its charts; those of several panels, which take the whole width, last.
        gallery: Images and maps; None where none were kept.
    """

    table: Table
    layout: Layout
    legend: str
    figures: tuple[Chart, ...]
    gallery: Embedded | None


def write_comparison_report(plan: Plan, tables: Sequence[Table], notes: Sequence[str], out: Path) -> Path:
    """Write the figures and the page.

    Args:
        plan: What was compared.
        tables: What it came to.
        notes: What is to be said about all tables.
        out: The folder of the comparison.

    Returns:
        The page.

    Raises:
        DataError: An image of the gallery cannot be read.
    """
    sections = [_section(plan, table, out) for table in tables]
    environment = Environment(
        loader=PackageLoader("softcam.reporting", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    html = environment.get_template(TEMPLATE).render(page=_page(plan, sections, notes))
    with atomic_path(out / PAGE) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return out / PAGE


def _page(plan: Plan, sections: Sequence[Section], notes: Sequence[str]) -> dict[str, Any]:
    samples, settings = plan.samples, plan.settings
    manifest = plan.images[plan.contenders[0].name].path
    part = f"split {settings.split}" if settings.split else "all splits"
    return {
        "version": softcam.__version__,
        "date": datetime.date.today().isoformat(),
        "subtitle": (
            f"{manifest.name if manifest else 'manifest'}, {part}: {len(samples)} images of "
            f"{len({sample.patient for sample in samples})} patients; protocol {settings.protocol}"
        ),
        "sections": sections,
        "notes": notes,
    }


def _section(plan: Plan, table: Table, out: Path) -> Section:
    prefix = safe_name(table.name)
    charts = [_saved(figure, out / "figures" / f"{prefix}-{name}", alt) for name, figure, alt in _charts(table)]
    return Section(
        table,
        lay_out(table, with_models=len(table.models) > 1),
        legend(table),
        tuple(sorted(charts, key=lambda chart: chart.wide)),
        _gallery(plan, table, out),
    )


def _charts(table: Table) -> Iterator[tuple[str, Figure, str]]:
    for name in table.metrics:
        if SCORES[name].curve is not None:
            yield name, curve_figure(table, name), f"{SCORES[name].title} of each method; the numbers are in curves.csv"
    if PRECISION in table.metrics and SENSITIVITY in table.metrics:
        yield "sensitivity", precision_sensitivity_figure(table), "Sensitivity against precision of each method"
    if table.metrics:
        yield "scores", scores_figure(table), "All scores of each method; the numbers are in the table"


def _gallery(plan: Plan, table: Table, out: Path) -> Embedded | None:
    if not plan.gallery:
        return None
    rows = [row for row in table.rows if row.explainer not in CONTROLS]
    names = [method_name(row, with_model=len(table.models) > 1) for row in rows]
    images = plan.images[table.reference[0]]
    figure = gallery_figure(gallery_rows(images, plan.gallery, rows, names, MapFolder(out / MAPS)))
    path = out / "figures" / f"{safe_name(table.name)}-gallery.jpg"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, bbox_inches="tight", pil_kwargs={"quality": 90})
    return Embedded(data_uri(path.read_bytes(), "image/jpeg"), "Images, and below them the map of each method")


def _saved(figure: Figure, path: Path, alt: str) -> Chart:
    save_figure(figure, path)
    uri = data_uri(path.with_name(f"{path.name}.svg").read_bytes(), "image/svg+xml")
    return Chart(Embedded(uri, alt), wide=len(figure.axes) > 1)
