from __future__ import annotations

import pytest

from softcam.metrics.bootstrap import Interval, PairedDifference
from softcam.reporting.figures import Score
from softcam.reporting.summary import (
    counted,
    decisions_sentence,
    difference_sentence,
    joined,
    locality_sentence,
    place_sentence,
    tile_facts,
)


def interval(estimate: float) -> Interval:
    return Interval(estimate, estimate - 0.01, estimate + 0.01, 0.95, 100, 0)


def difference(estimate: float, low: float, high: float) -> PairedDifference:
    return PairedDifference(estimate, low, high, 0.95, 100, 0, 0.5)


METRICS = {"accuracy": interval(0.982), "auroc": interval(0.994)}
LOCAL = {
    "activation_precision": Score(interval(0.2), chance=0.01, ceiling=0.4),
    "pointing_game": Score(interval(0.87), chance=0.01, ceiling=1.0),
    "locality": Score(interval(0.9)),
}
ELSEWHERE = {"locality": Score(interval(-0.25))}


@pytest.mark.parametrize(
    ("count", "text"), [(0, "no images"), (1, "one image"), (3, "three images"), (12500, "12,500 images")]
)
def test_counts_in_words(count: int, text: str) -> None:
    assert counted(count, "image") == text


@pytest.mark.parametrize(
    ("parts", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")]
)
def test_parts_of_a_sentence(parts: str, text: str) -> None:
    assert joined(list(parts)) == text


def test_decisions() -> None:
    assert decisions_sentence({"A": METRICS, "B": METRICS}) == (
        "A is right on 98.2% (AUROC 0.994) and B is right on 98.2% (AUROC 0.994)."
    )


def test_differences_that_leave_out_zero_are_named() -> None:
    clear, unclear = difference(-0.05, -0.08, -0.02), difference(0.01, -0.01, 0.03)
    assert difference_sentence({"B": {"auroc": clear}, "C": {"auroc": unclear}}, "A") == (
        "In AUROC, compared with A, B is worse by 0.050 [0.020, 0.080]."
    )
    assert difference_sentence({"C": {"auroc": unclear}}, "A") == (
        "The 95% interval of every difference in AUROC to A includes zero."
    )
    assert difference_sentence({}, "A") == ""


def test_the_place_of_the_evidence() -> None:
    assert place_sentence("A", LOCAL, "32×32") == (
        "A puts 20.0% of its positive evidence on the annotation, 20.0 times chance, 50% of what 32×32 cells allow; "
        "its highest evidence lies on an annotation in 87% of the images."
    )
    assert place_sentence("A", ELSEWHERE, "4×4") == ""


def test_where_a_place_may_be_read_off_the_map() -> None:
    assert locality_sentence({"A": ELSEWHERE, "B": LOCAL}) == (
        "The evidence of B (locality 0.90) is local: its cells speak mostly of their own place. The evidence of "
        "A (locality −0.25) is not: it adds up to the decision, but do not read a place off it."
    )
    assert "is not local" in locality_sentence({"A": ELSEWHERE})
    assert locality_sentence({"A": {}}) == ""


def test_facts_of_a_tile() -> None:
    assert tile_facts(METRICS, LOCAL) == [
        ("AUROC", "0.994"),
        ("accuracy", "0.982"),
        ("activation precision", "0.200"),
        ("– times chance", "20.0"),
        ("pointing game", "0.87"),
        ("locality", "0.90"),
    ]
    assert tile_facts(METRICS, {}) == [("AUROC", "0.994"), ("accuracy", "0.982")]
