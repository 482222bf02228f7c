from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evaluation.conftest import checkpoint, square_reader

from softcam.data.manifest import Manifest
from softcam.errors import DataError
from softcam.evaluation.compare import compare
from softcam.evaluation.evaluate import evaluate
from softcam.evaluation.result import Evaluation
from softcam.metrics.bootstrap import paired_difference
from softcam.metrics.classification import METRICS, classification_metrics
from softcam.metrics.delong import delong_test
from softcam.model.checkpoint import Head
from softcam.model.task import Task

QUICK = {"resamples": 50, "batch_size": 8, "progress": False}


@pytest.fixture(scope="module")
def good(squares: Manifest) -> Evaluation:
    return evaluate(checkpoint(square_reader()), squares, **QUICK)


@pytest.fixture(scope="module")
def blind(squares: Manifest) -> Evaluation:
    """Healthy whatever it sees."""
    return evaluate(checkpoint(square_reader((0.0, 0.001)), Head.GAP), squares, **QUICK)


def test_a_model_does_not_differ_from_itself(good: Evaluation) -> None:
    found = compare(good, good, resamples=50)
    for difference in found.differences.values():
        assert (difference.estimate, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)
    names = [*METRICS, "activation_precision", "activation_sensitivity", "pointing_game", "locality"]
    assert list(found.differences) == names


def test_differences_are_those_of_the_paired_bootstrap(good: Evaluation, blind: Evaluation) -> None:
    found = compare(good, blind, resamples=50, seed=3).differences["accuracy"]
    a, b = good.predictions, blind.predictions
    direct = paired_difference(
        lambda p, y: classification_metrics(p, y, "multiclass")["accuracy"],
        [a.probabilities, a.targets],
        [b.probabilities, b.targets],
        a.patients,
        resamples=50,
        seed=3,
    )
    assert found == direct
    assert found.estimate == good.metrics["accuracy"].estimate - blind.metrics["accuracy"].estimate > 0
    swapped = compare(blind, good, resamples=50, seed=3).differences["accuracy"]
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))


def test_one_output_compares_with_two(good: Evaluation, squares: Manifest) -> None:
    one = evaluate(checkpoint(square_reader((200.0,), (-3.0,)), task=Task.BINARY), squares, **QUICK)
    assert compare(one, good, resamples=20).differences["auroc"].estimate == pytest.approx(0, abs=1e-9)


def test_delong_needs_one_image_per_patient(good: Evaluation, blind: Evaluation) -> None:
    assert compare(good, blind, resamples=5).delong is None
    first, second = (
        replace(each, predictions=replace(each.predictions, patients=each.predictions.images)) for each in (good, blind)
    )
    found = compare(first, second, resamples=5).delong
    a, b = first.predictions, second.predictions
    assert found == delong_test(a.probabilities[:, 1], b.probabilities[:, 1], a.targets == 1)


def test_only_what_can_be_compared_is(good: Evaluation) -> None:
    fewer = replace(good, predictions=replace(good.predictions, images=good.predictions.images[::-1]))
    with pytest.raises(DataError) as caught:
        compare(good, fewer)
    assert str(caught.value) == (
        "the two evaluations are not of the same images with the same labels; "
        "evaluate both models on one split of one manifest"
    )
    with pytest.raises(DataError) as caught:
        compare(good, replace(good, classes=("healthy", "ill")))
    assert str(caught.value) == (
        "the models answer different questions (binary: healthy, sick; binary: healthy, ill); "
        "compare two that were trained on the same classes"
    )
