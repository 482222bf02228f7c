from __future__ import annotations

import math

import pytest

from softcam.evaluation.comparison.layout import lay_out, legend, to_latex, to_markdown
from softcam.evaluation.comparison.statistics import Difference
from softcam.evaluation.comparison.tables import Cell, Row, Table
from softcam.metrics.bootstrap import Interval, PairedDifference


def interval(estimate: float) -> Interval:
    return Interval(estimate, estimate - 0.1, estimate + 0.1, 0.95, 100, 0)


def row(explainer: str, pointing: float, p: float | None, ceiling: float, size: tuple[int, int], seconds: float) -> Row:
    paired = PairedDifference(0.1, 0.0, 0.2, 0.95, 100, 0, p_value=p or 1.0)
    difference = None if p is None else Difference(paired, p)
    cells = {"pointing_game": Cell(interval(pointing), 0.05, ceiling, 9, difference)}
    return Row("a|b_c", explainer, size, 1.0, seconds, 0, cells, {})


TABLE = Table(
    "x",
    "All on a|b_c",
    ("a|b_c", "softcam"),
    (row("softcam", 0.8, None, 0.9, (16, 16), 0.0123), row("gradcam", 0.6, 0.01, 0.9, (16, 16), 0.2)),
    ("gradcam has failed.",),
)


def test_markdown() -> None:
    lines = to_markdown([TABLE], ["Localization is left out."]).splitlines()
    assert lines[0] == "## All on a|b_c"
    assert lines[2:7] == [
        "| method | map | passes | ms | pointing ↑ |",
        "| :-- | --: | --: | --: | --: |",
        "| SoftCAM | 16×16 | 1 | 12 | **0.800** [0.700, 0.900] |",
        r"| Grad-CAM | 16×16 | 1 | 200 | 0.600\* [0.500, 0.700] |",
        "| chance | – |  |  | 0.050 |",
    ]
    assert lines[7] == "| ceiling | 16×16 |  |  | 0.900 |"
    assert lines[-2:] == ["", "- Localization is left out."] or lines[-1] == "- Localization is left out."
    assert "- gradcam has failed." in lines


def test_latex_is_escaped() -> None:
    lines = to_latex([TABLE], ["100 % of it."]).splitlines()
    assert lines[0] == "% 100 % of it."
    assert r"method & map & passes & ms & pointing $\uparrow$ \\" in lines
    assert r"SoftCAM & 16$\times$16 & 1 & 12 & \textbf{0.800} [0.700, 0.900] \\" in lines
    assert r"Grad-CAM & 16$\times$16 & 1 & 200 & 0.600$^*$ [0.500, 0.700] \\" in lines
    caption = next(line for line in lines if line.startswith(r"\caption"))
    assert r"a|b\_c" in caption
    assert r"95 \% interval" in caption
    assert lines.count(r"\midrule") == 2


def test_each_resolution_has_its_ceiling_and_models_are_named_where_there_are_several() -> None:
    second = row("saliency", 0.7, 0.5, 1.0, (128, 128), 0.00042)
    table = Table("x", "t", TABLE.reference, (*TABLE.rows, second))
    layout = lay_out(table, with_models=True)
    assert [[cell.value for cell in each] for each in layout.rows[2:]] == [
        ["Saliency (a|b_c)", "128×128", "1", "0.42", "0.700"],
        ["chance", "–", "", "", "0.050"],
        ["ceiling", "16×16", "", "", "0.900"],
        ["ceiling", "128×128", "", "", "1.000"],
    ]
    assert layout.methods == 3


def test_what_is_not_there_is_a_dash() -> None:
    nothing = Row("m", "rise", None, math.nan, math.nan, 3, {}, {})
    lonely = Row(
        "m",
        "cam",
        (4, 4),
        1.0,
        0.1,
        0,
        {"deletion": Cell(Interval(0.5, *[math.nan] * 2, 0.95, 0, 0), math.nan, math.nan, 1)},
        {},
    )
    layout = lay_out(Table("x", "t", ("m", "cam"), (nothing, lonely)), with_models=False)
    assert [cell.value for cell in layout.rows[0]] == ["RISE", "–", "–", "–", "–"]
    assert [(cell.value, cell.interval) for cell in layout.rows[1]][-1] == ("0.500", "")
    assert len(layout.rows) == 2  # neither chance nor ceiling


def test_the_legend_names_the_reference() -> None:
    assert "* differs from softcam on a|b_c: paired bootstrap over patients, p < 0.05" in legend(TABLE)


@pytest.mark.parametrize("character", ["\\", "_", "%", "&", "#", "{", "}", "~", "^", "$"])
def test_every_special_character_is_escaped(character: str) -> None:
    table = Table("x", f"a{character}b", TABLE.reference, TABLE.rows)
    caption = next(line for line in to_latex([table], []).splitlines() if line.startswith(r"\caption"))
    assert f"a{character}b" not in caption
