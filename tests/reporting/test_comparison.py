from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.comparison.conftest import FAKES, QUICK, black_box, compared, plan_of
from tests.evaluation.conftest import write_squares

from softcam.data.manifest import Manifest
from softcam.evaluation.comparison.gallery import MapFolder
from softcam.evaluation.comparison.plan import Plan
from softcam.evaluation.comparison.tables import Table, make_tables
from softcam.reporting.comparison import write_comparison_report
from softcam.reporting.comparison_figures import (
    curve_figure,
    precision_sensitivity_figure,
    save_figure,
    scores_figure,
    styles,
)
from softcam.reporting.comparison_gallery import gallery_rows

BAD = f"{FAKES}:fails_on_one"
Made = tuple[Path, Plan, tuple[Table, ...]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    manifest = write_squares(tmp_path_factory.mktemp("squares"))
    out = tmp_path_factory.mktemp("out")
    settings = replace(QUICK, gallery=7)  # all that have an annotated finding
    plan, explained = compared(
        manifest, out, ("softcam", "gradcam", BAD, "random"), settings=settings, black_box=("box <1>", black_box())
    )
    return out, plan, make_tables(plan, explained)


@pytest.fixture(scope="module")
def page(made: Made) -> Path:
    out, plan, tables = made
    return write_comparison_report(plan, tables, ("Nothing & all.",), out)


def test_the_page_is_one_file(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    assert "Nothing &amp; all." in html
    assert "Post-hoc methods on box &lt;1&gt;, a black box trained separately" in html
    assert "test: 16 images of 8 patients; protocol default" in html
    assert f"{BAD} on ours has no map of 2 of 16 images" in html
    assert html.count("<table>") == 2
    assert not re.search(r'(src|href)="(?!data:)', html)


def test_figures_are_files_too(page: Path) -> None:
    figures = page.parent / "figures"
    charts = ("deletion", "insertion", "scores", "sensitivity", "topk_precision")
    assert sorted(path.name for path in figures.iterdir() if path.name.startswith("ours")) == sorted(
        ["ours-gallery.jpg", *(f"ours-{chart}.{kind}" for chart in charts for kind in ("png", "svg"))]
    )
    with Image.open(figures / "box %3C1%3E-gallery.jpg") as gallery:
        assert gallery.width > 1500  # seven pictures side by side


def test_a_figure_is_the_same_each_time(tmp_path: Path, made: Made) -> None:
    _, _, (table, _) = made
    for name in ("first", "second"):
        save_figure(curve_figure(table, "deletion"), tmp_path / name)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()


def test_curves_are_drawn_as_they_are(made: Made) -> None:
    _, _, (table, _) = made
    axes, kept = curve_figure(table, "deletion").axes
    assert kept.get_ylabel() == "share of images decided as before"
    assert list(kept.lines[0].get_ydata()) == [p.estimate for p in table.rows[0].curves["deletion_kept"]]  # type: ignore[arg-type]
    lines = {str(line.get_label()): line for line in axes.lines}
    assert list(lines) == ["SoftCAM", "Grad-CAM", BAD, "Random map"]
    drawn = lines["Grad-CAM"]
    assert list(drawn.get_xdata()) == [0, 1, 2, 3, 4]  # type: ignore[arg-type]
    assert list(drawn.get_ydata()) == [point.estimate for point in table.rows[1].curves["deletion"]]  # type: ignore[arg-type]
    assert axes.get_title(loc="left") == "Deletion (lower is better)"
    assert list(curve_figure(table, "topk_precision").axes[0].lines[0].get_xdata()) == [1, 2, 3, 4]  # type: ignore[arg-type]


def test_sensitivity_against_precision(made: Made) -> None:
    _, _, (table, _) = made
    (axes,) = precision_sensitivity_figure(table).axes
    points = {
        str(line.get_label()): line.get_xydata() for line in axes.lines if not str(line.get_label()).startswith("_")
    }
    cells = table.rows[0].cells
    expected = [cells["activation_precision"].value.estimate, cells["activation_sensitivity"].value.estimate]
    np.testing.assert_allclose(points["SoftCAM"], [expected])


def test_every_score_has_a_panel(made: Made) -> None:
    _, plan, (table, _) = made
    titles = [axes.get_title(loc="left") for axes in scores_figure(table).axes if axes.get_visible()]
    assert len(titles) == len(plan.metrics)
    assert "deletion ←" in titles
    assert "pointing →" in titles


def test_a_method_looks_the_same_in_all_figures_and_others_do_not(made: Made) -> None:
    _, _, (one, two) = made
    of_one = dict(zip((row.explainer for row in one.rows), styles(one), strict=True))
    of_two = dict(zip((row.explainer for row in two.rows), styles(two), strict=True))
    assert of_one == {**of_one, **of_two}
    drawn = {(style.colour, str(style.line)) for style in of_one.values()}
    assert len(drawn) == len(of_one)


def test_the_gallery_shows_annotations_and_what_failed(made: Made) -> None:
    out, plan, (table, _) = made
    rows = gallery_rows(plan.images["ours"], plan.gallery, table.rows, ["a", "b", "c", "d"], MapFolder(out / "maps"))
    assert [row.name for row in rows] == ["", "a", "b", "c", "d"]
    failed = [index for index, picture in zip(plan.gallery, rows[3].pictures, strict=True) if picture is None]
    assert failed == [5, 7]
    image, evidence = rows[0].pictures[0], rows[1].pictures[0]
    assert image is not None
    assert evidence is not None
    assert image.shape == evidence.shape == (240, 240, 3)
    red = (evidence[..., 0].astype(int) - evidence[..., 2]) > 60
    bright = image.min(axis=2) > 200
    assert (red & bright).sum() > 0.8 * red.sum()  # the evidence is on the square


def test_without_a_gallery(tmp_path: Path, made: Made) -> None:
    _, plan, tables = made
    page = write_comparison_report(replace(plan, gallery=()), [replace(tables[0], rows=())], (), tmp_path)
    assert not (tmp_path / "figures").exists()
    assert "Images drawn at random" not in page.read_text(encoding="utf-8")


def test_without_annotations(tmp_path: Path) -> None:
    manifest: Manifest = write_squares(tmp_path / "squares", annotated=False)
    plan, explained = compared(manifest, tmp_path / "out")
    page = write_comparison_report(plan, make_tables(plan, explained), plan.notes, tmp_path / "out")
    assert "Localization is left out" in page.read_text(encoding="utf-8")
    assert plan_of(manifest).metrics == ("deletion", "insertion")
    assert {path.stem for path in (tmp_path / "out" / "figures").iterdir()} == {
        "ours-deletion",
        "ours-insertion",
        "ours-scores",
        "ours-gallery",
    }
