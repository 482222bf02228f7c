from __future__ import annotations

import numpy as np
import pytest

from softcam.evaluation.measures import bootstrap_arrays, explanation_measures, scored_task, statistics
from softcam.evaluation.predict import Predictions
from softcam.model.task import Task

NAN = float("nan")


def predictions(task: Task, outputs: int, **scores: list[float]) -> Predictions:
    shares = np.tile(np.linspace(0.1, 0.9, 4)[:, None], outputs)
    targets = np.array([0, 1, 0, 1])
    if task is not Task.MULTICLASS:
        targets = np.tile(targets[:, None], outputs)
    columns = {name: np.array(values) for name, values in scores.items()}
    return Predictions(task, tuple("abcd"), tuple("abcd"), targets, shares, shares, columns)


def test_two_classes_are_a_yes_no_question() -> None:
    assert scored_task(predictions(Task.MULTICLASS, 2)) is Task.BINARY
    assert scored_task(predictions(Task.BINARY, 1)) is Task.BINARY
    assert scored_task(predictions(Task.MULTICLASS, 3)) is Task.MULTICLASS
    assert scored_task(predictions(Task.MULTILABEL, 2)) is Task.MULTILABEL
    probabilities, targets, _ = bootstrap_arrays(predictions(Task.MULTICLASS, 2), ())
    assert (probabilities.shape, targets.shape) == ((4, 1), (4,))


def test_only_measures_with_numbers_are_reported() -> None:
    found = predictions(Task.BINARY, 1, pointing_game=[NAN] * 4, activation_precision=[NAN, 0.2, NAN, 0.4])
    assert explanation_measures(found) == ("activation_precision",)
    assert explanation_measures(predictions(Task.BINARY, 1)) == ()


def test_scores_are_means_and_locality_a_quotient_of_sums() -> None:
    found = predictions(
        Task.BINARY,
        1,
        pointing_game=[NAN, 1.0, NAN, 0.0],
        locality_residual=[1.0, 2.0, NAN, 0.0],
        locality_reference=[5.0, 3.0, NAN, 2.0],
    )
    measures = explanation_measures(found)
    assert measures == ("pointing_game", "locality")
    values = statistics(Task.BINARY, measures)(*bootstrap_arrays(found, measures))
    assert values["pointing_game"] == 0.5
    assert values["locality"] == pytest.approx(1 - 3 / 10)
    assert values["accuracy"] == 0.5


def test_maps_of_zeros_have_no_locality() -> None:
    found = predictions(Task.BINARY, 1, locality_residual=[0.0] * 4, locality_reference=[0.0] * 4)
    values = statistics(Task.BINARY, ("locality",))(*bootstrap_arrays(found, ("locality",)))
    assert np.isnan(values["locality"])
