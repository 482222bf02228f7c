from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.evaluation.comparison.conftest import QUICK, black_box, plan_of, record

from softcam.data.manifest import Manifest
from softcam.evaluation.comparison.records import Record
from softcam.evaluation.comparison.run import Explained
from softcam.evaluation.comparison.tables import make_tables

EXPLAINERS = ("softcam", "gradcam", "random", "uniform")


def explained(**means: tuple[float, float]) -> Explained:
    """Scores of every image that lie around the given means, the same noise in all: pointing game and deletion."""
    records = {}
    for key, (pointing, deletion) in means.items():
        model, explainer = key.split("__")
        records[model, explainer] = {
            image: record(explainer, image, pointing_game=pointing + image / 100, deletion=deletion + image / 100)
            for image in range(16)
        }
    return Explained(records, 0, ())


def test_a_table_of_each_model_and_one_of_the_black_box(squares: Manifest) -> None:
    plan = plan_of(squares, EXPLAINERS, replace(QUICK, resamples=200), black_box=("box", black_box()))
    found = explained(
        ours__softcam=(0.5, 0.3),
        ours__gradcam=(0.4, 0.2),
        ours__random=(0.1, 0.9),
        box__gradcam=(0.5, 0.6),
        box__random=(0.9, 0.9),
    )
    same, other = make_tables(plan, found)
    assert (same.name, same.title, same.models) == ("ours", "Every method on ours", ("ours",))
    assert [row.explainer for row in same.rows] == ["softcam", "gradcam", "random"]
    assert [(row.model, row.explainer) for row in other.rows] == [
        ("ours", "softcam"),
        ("box", "gradcam"),
        ("box", "random"),
    ]
    assert same.reference == other.reference == ("ours", "softcam")
    assert same.metrics == ("pointing_game", "deletion")

    softcam, gradcam, _ = same.rows
    assert softcam.title == "SoftCAM"
    assert softcam.cells["deletion"].difference is None
    assert softcam.cells["deletion"].value.estimate == pytest.approx(0.375)
    difference = gradcam.cells["deletion"].difference
    assert difference is not None
    assert difference.paired.estimate == pytest.approx(-0.1)
    assert difference.paired.high < 0
    assert difference.adjusted == pytest.approx(2 * 2 / 201)  # two methods were tested
    assert gradcam.cells["deletion"].differs
    assert not other.rows[1].cells["pointing_game"].differs


def test_the_best_is_the_lowest_where_low_is_good_and_never_a_control(squares: Manifest) -> None:
    found = explained(ours__softcam=(0.5, 0.3), ours__gradcam=(0.4, 0.2), ours__random=(0.8, 0.1))
    (table,) = make_tables(plan_of(squares, EXPLAINERS), found)
    assert table.best("pointing_game") == table.rows[0].cells["pointing_game"].value.estimate
    assert table.best("deletion") == table.rows[1].cells["deletion"].value.estimate


def test_failures_are_counted_named_and_left_out_of_means(squares: Manifest) -> None:
    found = explained(ours__softcam=(0.5, 0.3), ours__gradcam=(0.5, 0.3))
    broken = dict(found.records["ours", "gradcam"])
    for image in (9, 4):
        broken[image] = Record("gradcam", image, error="out of memory")
    never = {image: Record("rise", image, error="no") for image in range(16)}
    records = {**found.records, ("ours", "gradcam"): broken, ("ours", "rise"): never}
    (table,) = make_tables(plan_of(squares), Explained(records, 0, ()))
    _, gradcam, rise = table.rows
    assert (gradcam.failures, gradcam.cells["deletion"].images) == (2, 14)
    difference = gradcam.cells["deletion"].difference
    assert difference is not None
    assert difference.paired.estimate == pytest.approx(0, abs=1e-12)
    assert (rise.failures, rise.cells, rise.map_size) == (16, {}, None)
    assert math.isnan(rise.seconds)
    first = squares.samples[4].image
    assert table.notes == (
        f"gradcam on ours has no map of 2 of 16 images (the first: {first}: out of memory).",
        f"rise on ours has no map of 16 of 16 images (the first: {squares.samples[0].image}: no).",
    )


def test_curves_are_means_over_images(squares: Manifest) -> None:
    records = {
        image: Record("softcam", image, (4, 4), 1.0, 0.01, {"deletion": 0.5}, curves={"deletion": (1.0, image / 15)})
        for image in range(16)
    }
    (table,) = make_tables(plan_of(squares), Explained({("ours", "softcam"): records}, 0, ()))
    assert [point.estimate for point in table.rows[0].curves["deletion"]] == pytest.approx([1.0, 0.5])
