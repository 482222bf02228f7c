from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_specificity

from softcam.errors import ConfigError, DataError
from softcam.metrics.classification import (
    METRICS,
    Direction,
    class_auroc,
    classification_metrics,
    confusion_matrix,
    one_vs_rest,
)
from softcam.model.task import Task


def predictions(count: int, classes: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Probabilities that know something of the targets; every class occurs."""
    generator = np.random.default_rng(seed)
    targets = np.append(np.arange(classes), generator.integers(classes, size=count - classes))
    logits = generator.normal(size=(count, classes)) + 1.5 * np.eye(classes)[targets]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), targets


def calibration(probabilities: NDArray, targets: NDArray) -> float:
    tensors = torch.from_numpy(probabilities), torch.from_numpy(targets)
    return multiclass_calibration_error(*tensors, num_classes=probabilities.shape[1], n_bins=15, norm="l1").item()


@settings(deadline=None, max_examples=25, derandomize=True)
@given(count=st.integers(8, 60), classes=st.integers(3, 5), seed=st.integers(0, 2**31))
def test_many_classes_agree_with_the_libraries(count, classes, seed) -> None:
    probabilities, targets = predictions(count, classes, seed)
    decided = probabilities.argmax(axis=1)
    one_hot = np.eye(classes)[targets]
    specificity = multiclass_specificity(
        torch.from_numpy(decided), torch.from_numpy(targets), num_classes=classes, average="macro"
    )
    expected = {
        "accuracy": reference.accuracy_score(targets, decided),
        "balanced_accuracy": reference.balanced_accuracy_score(targets, decided),
        "auroc": reference.roc_auc_score(targets, probabilities, multi_class="ovr", average="macro"),
        "auprc": reference.average_precision_score(one_hot, probabilities, average="macro"),
        "sensitivity": reference.recall_score(targets, decided, average="macro", zero_division=0),
        "specificity": specificity.item(),
        "kappa": reference.cohen_kappa_score(targets, decided, weights="quadratic"),
        "ece": calibration(probabilities, targets),
    }
    assert classification_metrics(probabilities, targets, "multiclass") == pytest.approx(expected, abs=1e-5)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(count=st.integers(4, 60), seed=st.integers(0, 2**31))
def test_two_classes_agree_with_the_libraries(count, seed) -> None:
    probabilities, targets = predictions(count, 2, seed)
    positive, decided = probabilities[:, 1], probabilities[:, 1] > 0.5
    expected = {
        "accuracy": reference.accuracy_score(targets, decided),
        "balanced_accuracy": reference.balanced_accuracy_score(targets, decided),
        "auroc": reference.roc_auc_score(targets, positive),
        "auprc": reference.average_precision_score(targets, positive),
        "sensitivity": reference.recall_score(targets, decided),
        "specificity": reference.recall_score(targets, decided, pos_label=0),
        "kappa": reference.cohen_kappa_score(targets, decided),
        "ece": calibration(probabilities, targets),
    }
    assert classification_metrics(probabilities, targets, "multiclass") == pytest.approx(expected, abs=1e-5)
    assert classification_metrics(positive, targets, "binary") == pytest.approx(expected, abs=1e-5)


def test_the_binary_task_takes_columns_and_float_targets() -> None:
    probabilities, targets = predictions(30, 2)
    flat = classification_metrics(probabilities[:, 1], targets, "binary")
    assert classification_metrics(probabilities[:, 1:], targets[:, None].astype(np.float32), "binary") == flat
    assert classification_metrics(torch.from_numpy(probabilities[:, 1:]), targets, Task.BINARY) == flat


def test_multilabel_is_the_mean_over_labels_that_are_defined() -> None:
    generator = np.random.default_rng(0)
    targets = generator.integers(2, size=(50, 3))
    probabilities = (targets + generator.random((50, 3))) / 2
    probabilities = 0.7 * probabilities + 0.3 * generator.random((50, 3))
    by_label = [classification_metrics(probabilities[:, k], targets[:, k], "binary") for k in range(3)]
    scores = classification_metrics(probabilities, targets, "multilabel")
    assert scores == pytest.approx({name: np.mean([label[name] for label in by_label]) for name in METRICS})
    assert scores["auroc"] == pytest.approx(reference.roc_auc_score(targets, probabilities, average="macro"))
    targets[:, 2] = 0
    area = classification_metrics(probabilities, targets, "multilabel")["auroc"]
    assert area == pytest.approx((by_label[0]["auroc"] + by_label[1]["auroc"]) / 2)


def test_one_class_only_leaves_undefined_metrics_undefined() -> None:
    healthy = classification_metrics([0.1, 0.2, 0.7], [0, 0, 0], "binary")
    undefined = {name for name, value in healthy.items() if math.isnan(value)}
    assert undefined == {"auroc", "auprc", "sensitivity"}
    assert healthy["specificity"] == healthy["accuracy"] == healthy["balanced_accuracy"] == pytest.approx(2 / 3)
    right = classification_metrics([[0.9, 0.1, 0.0]], [0], "multiclass")
    assert {name for name, value in right.items() if math.isnan(value)} == {"auroc", "kappa"}


def test_a_class_that_does_not_occur_is_left_out_of_means() -> None:
    probabilities, targets = predictions(40, 3)
    present = targets < 2
    kept, truth = probabilities[present], targets[present]
    scores = classification_metrics(kept, truth, "multiclass")
    areas = [reference.roc_auc_score(truth == k, kept[:, k]) for k in range(2)]
    assert scores["auroc"] == pytest.approx(np.mean(areas))
    np.testing.assert_allclose(class_auroc(kept, truth, "multiclass"), [*areas, math.nan])
    assert np.isnan(class_auroc(kept, truth, "multiclass")).tolist() == [False, False, True]


def test_perfect_and_hopeless_predictions() -> None:
    perfect = classification_metrics(np.eye(4), np.arange(4), "multiclass")
    assert perfect == pytest.approx(dict.fromkeys(METRICS, 1.0) | {"ece": 0.0})
    reversed_ = classification_metrics(np.eye(4)[::-1], np.arange(4), "multiclass")
    assert reversed_["kappa"] == pytest.approx(-1)
    assert reversed_["ece"] == pytest.approx(1)


def test_calibration_error_by_hand() -> None:
    """Ten images at confidence .8, six of them right: the error is .2."""
    targets = np.array([1] * 6 + [0] * 4)
    assert classification_metrics(np.full(10, 0.8), targets, "binary")["ece"] == pytest.approx(0.2)
    assert classification_metrics(np.full(10, 0.2), 1 - targets, "binary")["ece"] == pytest.approx(0.2)


def test_confusion_matrix_has_truth_in_rows() -> None:
    probabilities, targets = predictions(40, 4)
    expected = reference.confusion_matrix(targets, probabilities.argmax(axis=1), labels=range(4))
    np.testing.assert_array_equal(confusion_matrix(probabilities, targets, "multiclass"), expected)
    labels = np.array([[1, 0], [1, 1], [0, 0]])
    by_label = confusion_matrix([[0.9, 0.6], [0.2, 0.7], [0.1, 0.1]], labels, "multilabel")
    assert by_label.tolist() == [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]


def test_one_question_per_output() -> None:
    probabilities, targets = predictions(20, 3)
    questions = one_vs_rest(probabilities, targets, "multiclass")
    assert [truth.sum() for _, truth in questions] == np.bincount(targets).tolist()
    ((scores, truth),) = one_vs_rest(probabilities[:, 1], targets == 1, "binary")
    np.testing.assert_array_equal(scores, probabilities[:, 1])
    np.testing.assert_array_equal(truth, targets == 1)


def test_the_registry_names_every_metric_and_its_direction() -> None:
    probabilities, targets = predictions(20, 3)
    assert set(classification_metrics(probabilities, targets, "multiclass")) == set(METRICS)
    assert [name for name, direction in METRICS.items() if direction is Direction.LOWER] == ["ece"]


@pytest.mark.parametrize(
    ("direction", "value", "best", "better"),
    [
        (Direction.HIGHER, 0.9, 0.8, True),
        (Direction.HIGHER, 0.8, 0.8, False),
        (Direction.LOWER, 0.1, 0.2, True),
        (Direction.LOWER, 0.3, 0.2, False),
        (Direction.HIGHER, math.nan, -1.0, False),
        (Direction.LOWER, 5.0, math.nan, True),
        (Direction.LOWER, math.nan, math.nan, False),
    ],
)
def test_direction_knows_what_improves(direction, value, best, better) -> None:
    assert direction.improves(value, best) is better


@pytest.mark.parametrize(
    ("probabilities", "targets", "task", "message"),
    [
        (np.empty((0, 2)), [], "multiclass", "no predictions to score"),
        ([[0.5, 0.5]], [0, 1], "multiclass", r"probabilities \(1, 2\) and targets \(2,\) do not fit a multiclass"),
        ([[0.5], [0.5]], [0, 1], "multiclass", "do not fit a multiclass"),
        ([[0.5, 0.5]], [[0, 1]], "binary", "do not fit a binary"),
        ([[0.5, 0.5]], [0], "multilabel", "do not fit a multilabel"),
        ([[2.0, -1.0]], [0], "multiclass", r"finite and in \[0, 1\]: apply the task's softmax or sigmoid"),
        ([[math.nan]], [0], "binary", "finite and in"),
        ([[0.5, 0.5]], [2], "multiclass", "whole numbers from 0 to 1, got 2"),
        ([[0.5]], [0.5], "binary", "whole numbers from 0 to 1, got 0.5"),
        ([[0.5, 0.5]], [-1], "multiclass", "got -1"),
    ],
)
def test_bad_input_is_one_sentence(probabilities, targets, task, message) -> None:
    with pytest.raises(DataError, match=message):
        classification_metrics(probabilities, targets, task)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown task 'regression': choose multiclass, binary or multilabel"):
        classification_metrics([[0.5]], [0], "regression")
