from __future__ import annotations

import base64
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, strategies as st

from softcam.metrics.bootstrap import Interval
from softcam.metrics.curves import pr_curve, roc_curve
from softcam.reporting.figures import (
    PALETTE,
    Embedded,
    Score,
    calibration_figure,
    data_uri,
    epochs_figure,
    model_colour,
    pr_figure,
    reliability,
    roc_figure,
    score_figure,
)

PROBABILITY, TRUTH = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])


def svg(figure: Embedded) -> str:
    head, _, content = figure.uri.partition(",")
    assert head == "data:image/svg+xml;base64"
    text = base64.b64decode(content).decode()
    ET.fromstring(text)
    return text


def interval(estimate: float, half: float = 0.02) -> Interval:
    return Interval(estimate, estimate - half, estimate + half, 0.95, 100, 0)


def test_curves_name_each_model_with_its_area() -> None:
    roc = roc_figure({"a": roc_curve(PROBABILITY, TRUTH), "b": roc_curve(1 - PROBABILITY, TRUTH)})
    assert roc.alt == "ROC: area under the curve 0.750 (a), 0.250 (b)"
    assert "a (0.750)" in svg(roc)
    pr = pr_figure({"a": pr_curve(PROBABILITY, TRUTH)}, prevalence=0.5, title="PR of x")
    assert pr.alt == "PR of x: average precision 0.833 (a)"


def test_figures_follow_the_scheme_of_the_page() -> None:
    text = svg(epochs_figure("Loss", {"a": [2.0, 1.0]}))
    assert "prefers-color-scheme:dark" in text
    assert "currentColor" in text
    assert "#0b0c0d" not in text
    assert "<rect" not in text.replace("<clipPath", "").split("</defs>")[0], "no background"


def test_the_same_figure_is_the_same_bytes() -> None:
    curves = {"a": roc_curve(PROBABILITY, TRUTH)}
    assert roc_figure(curves) == roc_figure(curves)


def test_each_model_keeps_its_colour_in_all_figures() -> None:
    scores = {"a": Score(interval(0.2)), "b": Score(interval(0.4), 0.1, 0.5)}
    figures = [
        roc_figure({name: roc_curve(PROBABILITY, TRUTH) for name in scores}),
        calibration_figure(dict.fromkeys(scores, (PROBABILITY, TRUTH))),
        epochs_figure("Loss", {name: [1.0] for name in scores}),
        score_figure("Locality", scores),
    ]
    for figure in figures:
        assert {model_colour(0), model_colour(1)} <= {shade for shade in PALETTE if shade in svg(figure)}
        assert model_colour(2) not in svg(figure)


def test_scores_are_told_with_their_bounds() -> None:
    scores = {"a": Score(interval(0.2), chance=0.01, ceiling=0.5), "b": None, "c": Score(interval(-0.3))}
    assert score_figure("Precision", scores).alt == (
        "Precision: a 0.200 [0.180, 0.220] (chance 0.010, ceiling 0.500); b not measured; c -0.300 [-0.320, -0.280]"
    )


def test_scores_that_are_not_defined_are_drawn_without() -> None:
    undefined = Interval(0.3, np.nan, np.nan, 0.95, 100, 100)
    assert "axes_1" in svg(score_figure("Locality", {"a": Score(undefined)}))


def test_a_missing_epoch_leaves_a_gap() -> None:
    assert "axes_1" in svg(epochs_figure("AUROC", {"a": [np.nan, 0.5], "b": []}))


def test_reliability_of_two_groups() -> None:
    said, found = reliability(PROBABILITY, TRUTH, 2)
    np.testing.assert_allclose(said, [(0.1 + 0.35) / 2, (0.4 + 0.8) / 2])
    np.testing.assert_allclose(found, [0.5, 0.5])


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 100))
def test_reliability_keeps_order_and_range(count: int, groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probability, truth = rng.random(count), rng.random(count) < 0.5
    said, found = reliability(probability, truth, groups)
    assert len(said) == len(found) == min(groups, count)
    assert (np.diff(said) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("kind", ["image/png", "image/svg+xml"])
def test_data_uri_holds_the_bytes(kind: str) -> None:
    head, _, content = data_uri(b"\x00\xffabc", kind).partition(",")
    assert head == f"data:{kind};base64"
    assert base64.b64decode(content) == b"\x00\xffabc"
