from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.evaluation.comparison import fakes
from tests.evaluation.comparison.conftest import FAKES, QUICK, QUIET, black_box, compared, plan_of, soft_cam
from tests.evaluation.conftest import PREPROCESSING, checkpoint
from torch import nn

from softcam.data.manifest import Manifest
from softcam.errors import ConfigError, ConversionError
from softcam.evaluation.comparison.gallery import MapFolder
from softcam.evaluation.comparison.plan import make_plan
from softcam.evaluation.comparison.records import Record
from softcam.evaluation.comparison.run import Work, explain_all
from softcam.evaluation.evaluate import evaluate
from softcam.model.checkpoint import Checkpoint, Head, ModelCard
from softcam.model.task import Task

EXPLAINERS = ("softcam", f"{FAKES}:bright", "random")


def without_time(records: dict[int, Record]) -> dict[int, Record]:
    return {image: replace(record, seconds=0.0) for image, record in records.items()}


def test_scores_are_those_of_an_evaluation(squares: Manifest, tmp_path: Path) -> None:
    _, explained = compared(squares, tmp_path)
    scores = evaluate(soft_cam(), squares, resamples=1, progress=False).predictions.scores
    records = explained.records["ours", "softcam"]
    assert set(records) == set(range(16))
    for index, record in records.items():
        for name in ("activation_precision", "activation_sensitivity", "pointing_game"):
            assert record.values.get(name, torch.nan) == pytest.approx(scores[name][index], nan_ok=True)
            assert record.chance.get(name, torch.nan) == pytest.approx(scores[f"{name}_chance"][index], nan_ok=True)
            assert record.ceiling.get(name, torch.nan) == pytest.approx(scores[f"{name}_ceiling"][index], nan_ok=True)
        assert 0 <= record.values["deletion"] <= 1
        assert len(record.curves["insertion"]) == QUICK.patches + 1


def test_a_stopped_run_goes_on_and_comes_to_the_same(squares: Manifest, tmp_path: Path) -> None:
    _, whole = compared(squares, tmp_path / "whole", EXPLAINERS)
    _, first = compared(squares, tmp_path / "stopped", EXPLAINERS)
    assert (whole.continued, first.continued) == (0, 0)
    path = tmp_path / "stopped" / "records" / "ours.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:10]) + lines[10][:25])  # in the midst of the ninth record, and of a batch
    fakes.CALLS.clear()
    _, again = compared(squares, tmp_path / "stopped", EXPLAINERS)
    assert again.continued == 9
    assert fakes.CALLS == [4] * 3  # the batch that was stopped, and those after it
    assert len(path.read_text().splitlines()) == len(lines)
    for key, records in whole.records.items():
        assert without_time(dict(again.records[key])) == without_time(dict(records))


def test_what_is_there_is_not_done_again(squares: Manifest, tmp_path: Path) -> None:
    compared(squares, tmp_path, EXPLAINERS)
    fakes.CALLS.clear()
    _, explained = compared(squares, tmp_path, EXPLAINERS)
    assert (explained.continued, fakes.CALLS) == (48, [])
    _, more = compared(squares, tmp_path, (*EXPLAINERS, "uniform"))
    assert more.continued == 48
    assert len(more.records["ours", "uniform"]) == 16
    with pytest.raises(ConfigError, match="was made with another number of patches"):
        compared(squares, tmp_path, EXPLAINERS, settings=replace(QUICK, patches=5))


def test_a_failing_explainer_does_not_stop_the_others(squares: Manifest, tmp_path: Path) -> None:
    bad, never = f"{FAKES}:fails_on_one", f"{FAKES}:fails_always"
    _, explained = compared(squares, tmp_path, ("softcam", bad, never))
    errors = {index: record.error for index, record in explained.records["ours", bad].items() if record.error}
    assert errors == {fakes.BAD_IMAGE: "RuntimeError: a corner", fakes.NAN_IMAGE: "the map holds NaN or infinity"}
    assert explained.records["ours", bad][9].values["pointing_game"] == 1
    assert all(record.error == "RuntimeError: never" for record in explained.records["ours", never].values())
    assert not any(record.error for record in explained.records["ours", "softcam"].values())


def test_what_cannot_be_is_an_error_before_any_work(squares: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no explainer 'grad-cam'; choose from softcam, "):
        compared(squares, tmp_path, ("softcam", "grad-cam"))
    assert list(tmp_path.iterdir()) == []


class NoHead(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :2]


def test_an_impossible_method_is_an_error_where_it_was_asked_for(squares: Manifest, tmp_path: Path) -> None:
    headless = Checkpoint(
        NoHead(),
        ModelCard("own", Head.GAP, ("healthy", "sick"), Task.MULTICLASS, preprocessing=PREPROCESSING.to_dict()),
    )
    with pytest.raises(ConversionError, match="cam is impossible on box: "):
        explain_all(plan_of(squares, ("softcam", "cam"), black_box=("box", headless)), tmp_path, QUIET)
    with pytest.raises(ConversionError, match="softcam is impossible on box: "):
        explain_all(make_plan([("box", headless)], squares, QUICK), tmp_path, QUIET)
    assert list(tmp_path.iterdir()) == []


def test_maps_of_the_gallery_are_kept_and_no_others(squares: Manifest, tmp_path: Path) -> None:
    plan, _ = compared(squares, tmp_path, (f"{FAKES}:bright", "softcam"), settings=replace(QUICK, gallery=2))
    assert len(list(tmp_path.rglob("*.npy"))) == 4
    kept = MapFolder(tmp_path / "maps").load("ours", f"{FAKES}:bright", plan.gallery[0])
    assert kept is not None
    assert kept.shape == (32, 32)
    assert kept.sum() == 64  # the white square
    assert MapFolder(tmp_path / "maps").load("ours", "gradcam", 0) is None


def test_workers_and_batches_change_nothing(squares: Manifest, tmp_path: Path) -> None:
    _, one = compared(squares, tmp_path / "one")
    two = explain_all(plan_of(squares), tmp_path / "two", Work(batch_size=16, workers=1, progress=False))
    for key, records in one.records.items():
        for index, record in records.items():
            assert two.records[key][index].values == pytest.approx(dict(record.values), rel=1e-5)


def test_one_output_and_a_black_box(squares: Manifest, tmp_path: Path) -> None:
    from tests.evaluation.conftest import square_reader

    single = checkpoint(square_reader((100.0,), (-1.5,)), task=Task.BINARY)
    plan = make_plan(
        [("single", single)], squares, QUICK, explainers=["softcam", "gradcam"], black_box=("box", black_box())
    )
    explained = explain_all(plan, tmp_path, QUIET)
    assert set(explained.records) == {("single", "softcam"), ("single", "gradcam"), ("box", "gradcam")}
    assert explained.records["single", "softcam"][1].values["pointing_game"] == 1
    assert explained.records["box", "gradcam"][1].map_size == (8, 8)


def test_stability_is_measured_where_it_is_asked_for(squares: Manifest, tmp_path: Path) -> None:
    settings = replace(QUICK, metrics=("max_sensitivity", "sanity"), max_images=3)
    _, explained = compared(squares, tmp_path, ("softcam", "random"), settings=settings)
    for record in explained.records["ours", "random"].values():
        assert record.values["sanity"] == 1  # what looks at no model cannot tell one from another
        assert record.values["max_sensitivity"] > 0.5  # and its noise is other noise for other pixels
