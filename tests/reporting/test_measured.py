from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from softcam.data.manifest import Annotations, Box, Manifest, Sample
from softcam.errors import ConfigError
from softcam.evaluation.compare import compare
from softcam.evaluation.result import Evaluation
from softcam.model.task import Task
from softcam.reporting.measured import Measured, NamedRun, Question, measured_runs, read_history
from softcam.training.config import Monitor
from softcam.training.history import History


def answering(evaluation: Evaluation, task: Task, targets: list, probabilities: list) -> Evaluation:
    said = replace(
        evaluation.predictions, task=task, targets=np.array(targets), probabilities=np.array(probabilities, dtype=float)
    )
    return replace(evaluation, predictions=said)


def with_classes(model: Measured, *classes: str, task: Task = Task.MULTICLASS) -> Measured:
    card = replace(model.checkpoint.card, classes=classes, task=task)
    return replace(model, checkpoint=replace(model.checkpoint, card=card))


def annotated(*labels: int, classes: tuple[str, ...] = ("a", "b", "c")) -> Manifest:
    box = Annotations(boxes=(Box(0, 0, 1, 1),))
    samples = (Sample(Path(f"{i}.png"), (label,), str(i), annotations=box) for i, label in enumerate(labels))
    return Manifest(tuple(samples), classes)


def test_differences_are_taken_to_the_first(measured: list[Measured]) -> None:
    first, second = measured
    assert not first.differences
    expected = compare(second.evaluation, first.evaluation).differences
    assert second.differences["activation_precision"] == expected["activation_precision"]
    assert second.differences["activation_precision"].estimate > 0


def test_the_black_box_is_explained_by_its_conversion(measured: list[Measured]) -> None:
    black_box = measured[0]
    assert black_box.explainer is not None
    assert black_box.explainer is not black_box.checkpoint.model
    assert black_box.evaluation.map_size == (8, 8)


def test_scores_with_bounds_and_without(measured: list[Measured]) -> None:
    scores = measured[1].scores
    assert scores["activation_precision"].ceiling == measured[1].evaluation.localization["activation_precision"].ceiling
    assert scores["locality"].chance is None
    assert "locality" not in replace(measured[1], evaluation=replace(measured[1].evaluation, locality=None)).scores


def test_two_runs_of_one_name(measured: list[Measured]) -> None:
    runs = [NamedRun("x", Path("a")), NamedRun("x", Path("b"))]
    with pytest.raises(ConfigError, match=r"^two runs are called 'x'; give each its own name with --names$"):
        measured_runs(runs, [each.checkpoint for each in measured], [each.evaluation for each in measured])


def test_history_of_a_run_and_of_a_bare_model(tmp_path: Path) -> None:
    assert read_history(tmp_path) == ()
    row = {"epoch": 1, "val_loss": 0.5}
    History(Monitor.LOSS, (row,)).write(tmp_path / "metrics.csv")
    assert read_history(tmp_path) == (row,)


def test_the_question_is_the_second_of_two_classes(measured: list[Measured], squares: Manifest) -> None:
    assert Question.of(measured[0], squares) == Question("sick", 1)
    assert Question.of(measured[0], squares, "healthy") == Question("healthy", 0)
    one_output = with_classes(measured[0], "healthy", "sick", task=Task.BINARY)
    assert Question.of(one_output, squares) == Question("sick", 0)


def test_the_question_is_the_most_annotated_of_several_classes(measured: list[Measured]) -> None:
    model = with_classes(measured[0], "a", "b", "c")
    assert Question.of(model, annotated(0, 1, 1, 2)) == Question("b", 1)
    assert Question.of(model, Manifest((), ("a", "b", "c"))) == Question("c", 2)


def test_an_unknown_class(measured: list[Measured], squares: Manifest) -> None:
    with pytest.raises(
        ConfigError, match=r"^class is 'ill', which the models do not know; choose one of healthy, sick$"
    ):
        Question.of(measured[0], squares, "ill")


@pytest.mark.parametrize(
    ("task", "output", "targets", "probabilities"),
    [
        (Task.MULTICLASS, 2, [2, 0, 2], [[0.1, 0.2, 0.7], [0.2, 0.3, 0.5], [0.4, 0.3, 0.3]]),
        (Task.BINARY, 0, [[1], [0], [1]], [[0.7], [0.6], [0.3]]),
        (Task.MULTILABEL, 1, [[0, 1], [1, 0], [0, 1]], [[0.9, 0.7], [0.9, 0.6], [0.1, 0.3]]),
    ],
)
def test_the_question_is_asked_of_every_task(
    measured: list[Measured], task: Task, output: int, targets: list, probabilities: list
) -> None:
    question = Question("x", output)
    evaluation = answering(measured[0].evaluation, task, targets, probabilities)
    assert question.truth(evaluation).tolist() == [True, False, True]
    assert question.decided(evaluation).tolist() == [True, True, False]
    assert question.probability(evaluation).tolist() == [row[output] for row in probabilities]
