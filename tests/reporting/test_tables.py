from __future__ import annotations

import math

import pytest

from softcam.metrics.bootstrap import Interval, PairedDifference
from softcam.reporting.figures import Score
from softcam.reporting.tables import (
    Cell,
    Note,
    Setting,
    bounds,
    cells_of,
    decisions_table,
    explanations_table,
    number,
    scientific,
    settings_table,
    signed,
)

UNDEFINED = Interval(math.nan, math.nan, math.nan, 0.95, 100, 100)


def interval(estimate: float, low: float, high: float) -> Interval:
    return Interval(estimate, low, high, 0.95, 100, 0)


def difference(estimate: float, low: float, high: float) -> PairedDifference:
    return PairedDifference(estimate, low, high, 0.95, 100, 0, 0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(0.12345), "0.123"),
        (number(-0.5, 1), "−0.5"),
        (number(math.nan), "–"),
        (signed(0.25), "+0.25"),
        (signed(-0.25), "−0.25"),
        (signed(-0.0004), "0.00"),
        (signed(math.inf), "–"),
        (scientific(2.4e-6), "2e−06"),
        (cells_of((4, 8)), "4×8"),
        (bounds(interval(0.5, 0.25, 1)), "[0.250, 1.000]"),
        (bounds(UNDEFINED), ""),
    ],
)
def test_numbers_as_they_are_written(text: str, expected: str) -> None:
    assert text == expected


def test_decisions_with_their_differences() -> None:
    table = decisions_table(
        [{"auroc": interval(0.9, 0.85, 0.95)}, {"auroc": interval(0.8, 0.7, 0.9)}, {"auroc": UNDEFINED}],
        [{}, {"auroc": difference(-0.1, -0.2, -0.05)}, {"auroc": difference(0.01, -0.02, 0.03)}],
    )
    (row,) = table.rows
    assert row.label == "AUROC"
    assert row.cells == (
        Cell("0.900", "[0.850, 0.950]"),
        Cell("0.800", "[0.700, 0.900]", (Note("Δ −0.100 [−0.200, −0.050]", strong=True),)),
        Cell("–", "", (Note("Δ +0.010 [−0.020, +0.030]"),)),
    )


def test_explanations_beside_chance_and_ceiling() -> None:
    scores = {
        "activation_precision": Score(interval(0.2, 0.1, 0.3), chance=0.01, ceiling=0.4),
        "activation_sensitivity": Score(interval(0.7, 0.6, 0.8), chance=1.0, ceiling=0.5),
        "locality": Score(interval(0.9, 0.8, 1.0)),
    }
    table = explanations_table([scores, {}], [3e-7, None], [(4, 4), None], [{}, {}])
    rows = {row.label: row.cells for row in table.rows}
    assert list(rows) == ["Activation precision", "Activation sensitivity", "Locality", "Completeness error", "Map"]
    assert rows["Activation precision"] == (
        Cell("0.200", "[0.100, 0.300]", (Note("chance 0.010"), Note("ceiling 0.400, 50% of it"))),
        Cell("–"),
    )
    assert rows["Activation sensitivity"][0].notes == (Note("chance 1.000"), Note("ceiling 0.500"))
    assert rows["Locality"][0].notes == ()
    assert rows["Completeness error"] == (Cell("3e−07"), Cell("–"))
    assert rows["Map"] == (Cell("4×4"), Cell("–"))


def test_settings_that_differ_and_those_that_do_not() -> None:
    first = {"data": {"manifest": "a.csv", "size": 128}, "model": {"stages": None}, "loss": {"l1": 0.02}}
    second = {"data": {"manifest": "b.csv", "size": 128}, "model": {"stages": ["layer1", "layer2"]}, "run": {"x": True}}
    settings = settings_table([first, second])
    assert settings.rows == (
        Setting("model.stages", ("–", "layer1, layer2")),
        Setting("loss.l1", ("0.02", "–")),
        Setting("run.x", ("–", "yes")),
    )
    assert settings.common == (("data.size", "128"),)
