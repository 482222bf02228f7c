"""Figures and page of an audit.

::

    DIR/audit.html                       verdict, tables and figures in one self-contained page
    DIR/figures/properties-CLASS.png     and .svg: what goes with the labels
    DIR/figures/mean-maps.png            and .svg: mean evidence of each class
    DIR/figures/worst.png                and .svg: evidence most outside the region of interest
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

import softcam
from softcam.evaluation.audit import Audit, Level
from softcam.evaluation.audit.places import Place
from softcam.evaluation.audit.properties import Kind
from softcam.evaluation.comparison.gallery import safe_name
from softcam.files import atomic_path
from softcam.reporting.audit_figures import COLOURS, mean_maps_figure, properties_figure, worst_figure
from softcam.reporting.comparison_figures import save_figure
from softcam.reporting.figures import Embedded, data_uri

TEMPLATE = "audit.html.jinja"
PAGE = "audit.html"

_KINDS = {
    Kind.RECORDING: "how images were made and stored",
    Kind.MARGIN: "what their outer part looks like",
    Kind.PICTURE: "what the finding may change too",
}


def headline(audit: Audit) -> str:
    """Say in a sentence what came out."""
    count = len(audit.alarms)
    if not count:
        return "No alarm: nothing but the finding surely tells the labels apart."
    return f"Alarm: {count} {'thing' if count == 1 else 'things'} that no finding explains."


def write_audit_report(audit: Audit, out: Path) -> Path:
    """Write the figures and the page.

    Args:
        audit: The audit.
        out: Its folder.

    Returns:
        The page.

    Raises:
        DataError: An image cannot be read again.
    """
    environment = Environment(
        loader=PackageLoader("softcam", "reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    html = environment.get_template(TEMPLATE).render(page=_page(audit, out / "figures"))
    with atomic_path(out / PAGE) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return out / PAGE


def _page(audit: Audit, figures: Path) -> dict[str, Any]:
    notes = [finding.sentence for finding in audit.findings if finding.level is Level.NOTE]
    part = f"split {audit.split}" if audit.split else "all splits"
    count = len(audit.predictions)
    return {
        "version": softcam.__version__,
        "date": datetime.date.today().isoformat(),
        "subtitle": f"{audit.manifest or 'manifest'}, {part}: {count} examined images",
        "headline": headline(audit),
        "alarms": audit.alarms,
        "remarks": [*notes, *audit.notes],
        "trained_on": audit.trained_on,
        "kinds": [(kind, COLOURS[kind], text) for kind, text in _KINDS.items()],
        "property_figures": _property_figures(audit, figures),
        "places": [_row(place) for place in audit.places] if audit.mean_maps else [],
        "mean_maps": _mean_maps(audit, figures),
        "worst": _worst(audit, figures),
    }


def _property_figures(audit: Audit, figures: Path) -> list[Embedded]:
    embedded = []
    for name in dict.fromkeys(each.class_name for each in audit.associations):
        chosen = [each for each in audit.associations if each.class_name == name]
        alt = f"AUROC of each property for {name}; the numbers are in audit.json"
        embedded.append(_saved(properties_figure(chosen), figures / f"properties-{safe_name(name)}", alt))
    return embedded


def _mean_maps(audit: Audit, figures: Path) -> Embedded | None:
    if not audit.mean_maps:
        return None
    figure = mean_maps_figure(audit.mean_maps, audit.places)
    return _saved(figure, figures / "mean-maps", "Mean evidence of images with and without each class")


def _worst(audit: Audit, figures: Path) -> Embedded | None:
    if not audit.worst:
        return None
    figure = worst_figure(audit.worst, audit.worst_maps)
    return _saved(figure, figures / "worst", "Images with their evidence laid over")


def _row(place: Place) -> tuple[str, ...]:
    marks = "" if place.marks is None else str(place.marks)
    return place.region, place.class_name, f"{place.area:.3f}", str(place.share), marks


def _saved(figure: Figure, path: Path, alt: str) -> Embedded:
    save_figure(figure, path)
    return Embedded(data_uri(path.with_name(f"{path.name}.png").read_bytes(), "image/png"), alt)
