from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.conftest import SIDE, SIZE, checkpoint, paint, square_reader, write_squares

from softcam.data.manifest import Annotations, Box, Manifest, Sample, Split
from softcam.errors import CheckpointError, DataError
from softcam.evaluation.evaluate import NO_ANNOTATIONS, calibration_bins, evaluate, select_images
from softcam.metrics.classification import classification_metrics, confusion_matrix
from softcam.model.checkpoint import Checkpoint, Head
from softcam.model.task import Task

QUICK = {"resamples": 50, "batch_size": 5, "progress": False}


def test_numbers_are_those_of_direct_computation(squares: Manifest) -> None:
    result = evaluate(checkpoint(square_reader()), squares, **QUICK)
    targets = [sample.labels[0] for sample in squares.samples]
    probabilities = result.predictions.probabilities
    direct = classification_metrics(probabilities, targets, "multiclass")
    assert {name: each.estimate for name, each in result.metrics.items()} == pytest.approx(direct)
    assert result.metrics["accuracy"].estimate == 14 / 16  # two labels are wrong, the network is not
    assert result.confusion.tolist() == confusion_matrix(probabilities, targets, "multiclass").tolist()
    assert result.confusion.tolist() == [[7, 1], [1, 7]]
    assert list(result.roc) == list(result.pr) == ["sick"]
    assert result.roc["sick"].area == pytest.approx(direct["auroc"])
    assert result.pr["sick"].area == pytest.approx(direct["auprc"])
    assert result.manifest == "manifest.csv"


def test_intervals_contain_their_estimates(squares: Manifest) -> None:
    result = evaluate(checkpoint(square_reader(cell=4)), squares, **QUICK)
    assert result.locality is not None
    intervals = [*result.metrics.values(), *(each.score for each in result.localization.values()), result.locality]
    for interval in intervals:
        assert interval.low - 1e-6 <= interval.estimate <= interval.high + 1e-6
        assert interval.level == 0.95
    assert result.metrics["accuracy"].low < result.metrics["accuracy"].high


@pytest.mark.parametrize("head", list(Head))
def test_evidence_of_known_place(squares: Manifest, head: Head) -> None:
    result = evaluate(checkpoint(square_reader(), head), squares, **QUICK)
    assert result.map_size == result.input_size == (SIZE, SIZE)
    assert result.annotated == 7  # the eighth sick image is labelled healthy
    for name in ("activation_precision", "pointing_game"):
        found = result.localization[name]
        assert found.score.estimate == pytest.approx(1, abs=1e-6)
        assert found.chance == pytest.approx(SIDE**2 / SIZE**2)
        assert found.ceiling == pytest.approx(1)
        assert found.share_of_ceiling == pytest.approx(1)
    assert result.locality is not None
    assert result.locality.estimate == pytest.approx(1, abs=1e-6)
    assert result.completeness is not None
    assert result.completeness < 1e-5


def test_coarse_cells_reach_their_ceiling_and_no_more(squares: Manifest) -> None:
    result = evaluate(checkpoint(square_reader(cell=4)), squares, **QUICK)
    found = result.localization["activation_precision"]
    assert result.map_size == (8, 8)
    assert found.ceiling < 0.9
    assert found.share_of_ceiling == pytest.approx(1, abs=1e-5)


def test_one_output_is_scored_as_two_are(squares: Manifest) -> None:
    one = evaluate(checkpoint(square_reader((200.0,), (-3.0,)), task=Task.BINARY), squares, **QUICK)
    two = evaluate(checkpoint(square_reader()), squares, **QUICK)
    for name, interval in one.metrics.items():
        assert interval.estimate == pytest.approx(two.metrics[name].estimate, abs=1e-5)
    assert one.confusion.tolist() == two.confusion.tolist()
    assert one.annotated == two.annotated
    assert list(one.roc) == ["sick"]
    assert [each.count for each in one.calibration] == [each.count for each in two.calibration]


def test_several_labels(tmp_path: Path) -> None:
    samples = []
    for index in range(8):
        labels, corners = ((0, 1), [(8, 8)]) if index % 2 else ((), [])
        box = Annotations(boxes=(Box(8, 8, SIDE, SIDE),)) if labels else Annotations()
        path = paint(tmp_path / f"{index}.png", corners)
        samples.append(Sample(path, labels, str(index), Split.TEST, box))
    manifest = Manifest(tuple(samples), ("a", "b"))
    given = checkpoint(square_reader((200.0, -200.0), (-3.0, 3.0)), task=Task.MULTILABEL, classes=("a", "b"))
    result = evaluate(given, manifest, **QUICK)
    assert result.confusion.shape == (2, 2, 2)
    assert set(result.roc) == {"a", "b"}
    assert result.localization["activation_precision"].score.estimate == pytest.approx(1, abs=1e-6)
    assert result.metrics["accuracy"].estimate == 0.5  # a is always right and b always wrong
    assert sum(each.count for each in result.calibration) == 16


def test_classes_in_another_order_are_matched_by_name(tmp_path: Path, squares: Manifest) -> None:
    turned = write_squares(tmp_path, classes=("sick", "healthy"))
    swapped = tuple(replace(sample, labels=(1 - sample.labels[0],)) for sample in turned.samples)
    result = evaluate(checkpoint(square_reader()), replace(turned, samples=swapped), **QUICK)
    assert result.classes == ("healthy", "sick")
    assert result.predictions.labels == tuple(sample.labels for sample in squares.samples)


def test_other_classes_are_refused(squares: Manifest) -> None:
    given = checkpoint(square_reader(), classes=("healthy", "pneumonia"))
    with pytest.raises(DataError) as caught:
        evaluate(given, squares, **QUICK)
    assert str(caught.value) == (
        f"{squares.path} has the classes healthy, sick, but the model knows healthy, pneumonia; "
        "name the manifest's classes as the model does (columns class_name and classes)"
    )


def test_an_empty_split_is_refused(squares: Manifest) -> None:
    with pytest.raises(DataError) as caught:
        select_images(squares, squares.classes, Split.VAL)
    assert str(caught.value) == (
        f"{squares.path} has no image in the split val; fill its column 'split', or evaluate another split or all"
    )
    assert len(select_images(squares, squares.classes, None)) == 16


def test_a_missing_image_is_refused_before_any_is_read(tmp_path: Path) -> None:
    manifest = write_squares(tmp_path)
    manifest.samples[9].image.unlink()
    with pytest.raises(DataError, match=r"09\.png does not exist"):
        select_images(manifest, manifest.classes, Split.TEST)


def test_a_card_without_preprocessing_is_refused(squares: Manifest) -> None:
    given = checkpoint(square_reader())
    with pytest.raises(CheckpointError, match="the card of this squares has no preprocessing; write the size"):
        evaluate(Checkpoint(given.model, replace(given.card, preprocessing={})), squares, **QUICK)


def test_without_annotations_localization_is_left_out(tmp_path: Path) -> None:
    result = evaluate(checkpoint(square_reader()), write_squares(tmp_path, annotated=False), **QUICK)
    assert result.localization == {}
    assert result.annotated == 0
    assert result.notes == (NO_ANNOTATIONS,)
    assert result.locality is not None


def test_calibration_bins_give_the_calibration_error(squares: Manifest) -> None:
    result = evaluate(checkpoint(square_reader(outputs=(-20.0, 30.0), bias=(0.3, -0.1))), squares, **QUICK)
    bins = calibration_bins(result.predictions)
    filled = [each for each in bins if each.count]
    error = sum(each.count * abs(each.confidence - each.accuracy) for each in filled) / 16
    assert error == pytest.approx(result.metrics["ece"].estimate)
    assert all(each.low <= each.confidence <= each.high for each in filled)
    assert all(math.isnan(each.accuracy) for each in bins if not each.count)


def test_the_seed_decides(squares: Manifest) -> None:
    given = checkpoint(square_reader(cell=4))
    first, again, other = (evaluate(given, squares, seed=seed, **QUICK) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert first.localization["activation_precision"] != other.localization["activation_precision"]
    np.testing.assert_array_equal(first.predictions.logits.argmax(1), other.predictions.logits.argmax(1))
