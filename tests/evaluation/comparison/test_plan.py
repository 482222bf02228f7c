from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.evaluation.comparison.conftest import QUICK, black_box, plan_of, soft_cam
from tests.evaluation.conftest import write_squares

from softcam.data.manifest import Manifest, Sample
from softcam.errors import ConfigError, DataError
from softcam.evaluation.comparison.decisions import Protocol
from softcam.evaluation.comparison.plan import DEFAULT_EXPLAINERS, Settings, make_plan, shows_finding
from softcam.evaluation.comparison.scores import FAITHFULNESS, LOCALIZATION
from softcam.explainers import explainer_names
from softcam.model.task import Task


def test_all_metrics_on_all_images(squares: Manifest) -> None:
    plan = plan_of(squares)
    assert plan.metrics == (*LOCALIZATION, *FAITHFULNESS)
    assert plan.samples == squares.samples
    assert plan.notes == ()
    assert len(plan.gallery) == 6
    assert all(squares.samples[index].annotations for index in plan.gallery)


def test_a_black_box_gets_all_that_is_no_evidence(squares: Manifest) -> None:
    plan = plan_of(squares, ["softcam", "softcam-raw", "cam", "uniform"], black_box=("box", black_box()))
    assert [(each.name, each.explainers) for each in plan.contenders] == [
        ("ours", ("softcam", "softcam-raw", "cam", "uniform")),
        ("box", ("cam", "uniform")),
    ]
    assert plan.black_box == "box"


def test_by_default_methods_that_a_network_cannot_have_are_left_out(squares: Manifest) -> None:
    plan = make_plan([("ours", soft_cam())], squares, QUICK)
    assert plan.contenders[0].explainers == DEFAULT_EXPLAINERS
    assert set(DEFAULT_EXPLAINERS) <= set(explainer_names())
    assert not plan.contenders[0].required
    assert plan_of(squares).contenders[0].required


def test_without_faithfulness_only_annotated_images_are_read(squares: Manifest) -> None:
    plan = plan_of(squares, settings=replace(QUICK, metrics=("pointing_game",)))
    assert [sample.image.name for sample in plan.samples] == [f"{i:02}.png" for i in (1, 3, 5, 7, 9, 13, 15)]
    assert plan.notes == ()


def test_some_images_are_drawn_the_same_each_time(squares: Manifest) -> None:
    few = plan_of(squares, settings=replace(QUICK, max_images=5)).samples
    assert len(few) == 5
    assert few == plan_of(squares, settings=replace(QUICK, max_images=5)).samples
    assert few != plan_of(squares, settings=replace(QUICK, max_images=5, seed=1)).samples
    assert few != squares.samples[:5]


def test_without_annotations_localization_is_left_out_with_a_line(tmp_path: Path) -> None:
    manifest = write_squares(tmp_path, annotated=False)
    plan = plan_of(manifest)
    assert plan.metrics == tuple(FAITHFULNESS)
    assert plan.notes == ("Localization is left out: no image of a finding has an annotation.",)
    with pytest.raises(DataError, match="and no other metric is asked for; add deletion or insertion"):
        plan_of(manifest, settings=replace(QUICK, metrics=("pointing_game",)))


def test_a_class_without_images_is_named(squares: Manifest) -> None:
    sick = squares.select(where=lambda sample: sample.labels == (1,))
    assert plan_of(sick).notes == ("No image of the split test is of the class healthy.",)


@pytest.mark.parametrize(
    ("task", "classes", "labels", "shown"),
    [
        (Task.MULTICLASS, ("a", "b"), (0,), False),
        (Task.MULTICLASS, ("a", "b"), (1,), True),
        (Task.MULTICLASS, ("a", "b", "c"), (0,), True),
        (Task.BINARY, ("a", "b"), (0,), False),
        (Task.BINARY, ("a", "b"), (1,), True),
        (Task.MULTILABEL, ("a", "b"), (0,), True),
        (Task.MULTILABEL, ("a", "b"), (), False),
    ],
)
def test_which_images_show_a_finding(
    task: Task, classes: tuple[str, ...], labels: tuple[int, ...], shown: bool
) -> None:
    card = replace(soft_cam().card, task=task, classes=classes)
    assert shows_finding(Sample(Path("x.png"), labels, "p"), card) is shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_images": 0}, "max_images is 0; it must be at least 1"),
        ({"patches": 0}, "patches is 0; it must be at least 1"),
        ({"gallery": -1}, "gallery is -1; it must be at least 0"),
        ({"resamples": 0}, "resamples is 0; it must be at least 1"),
        ({"metrics": ("beauty",)}, "metrics has 'beauty'; choose from"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings(**change)


def test_names_must_be_distinct_and_the_reference_there(squares: Manifest) -> None:
    with pytest.raises(ConfigError, match="ours is named twice among the models; give each its own name"):
        plan_of(squares, black_box=("ours", black_box()))
    with pytest.raises(ConfigError, match="cam is named twice among the explainers"):
        plan_of(squares, ["softcam", "cam", "cam"])
    with pytest.raises(ConfigError, match="reference is softcam, which is not among the explainers cam, random;"):
        plan_of(squares, ["cam", "random"])
    with pytest.raises(ConfigError, match="name at least one model"):
        make_plan([], squares, QUICK)


def test_records_depend_on_model_images_and_rules_but_not_on_explainers(squares: Manifest) -> None:
    plan = plan_of(squares)
    subject = plan.subject(plan.contenders[0])
    other = plan_of(squares, ["softcam", "cam"], replace(QUICK, resamples=7))
    assert other.subject(other.contenders[0]) == subject
    for change, name in (
        ({"protocol": Protocol.PAPER}, "protocol"),
        ({"patches": 9}, "number of patches"),
        ({"max_images": 9}, "set of images"),
    ):
        changed = plan_of(squares, settings=replace(QUICK, **change))  # type: ignore[arg-type]
        assert changed.subject(changed.contenders[0])[name] != subject[name]
    with torch.no_grad():
        next(plan.contenders[0].checkpoint.model.parameters()).add_(1e-6)
    assert plan.subject(plan.contenders[0])["model"] != subject["model"]
