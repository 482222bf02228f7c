from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.conftest import checkpoint, square_reader, write_squares

from softcam.data.manifest import Manifest
from softcam.evaluation.evaluate import evaluate
from softcam.evaluation.result import Evaluation, LocalizationScore
from softcam.metrics.bootstrap import Interval
from softcam.model.checkpoint import Head
from softcam.model.task import Task

QUICK = {"resamples": 20, "batch_size": 8, "progress": False}


def round_trip(result: Evaluation) -> Evaluation:
    return Evaluation.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))


@pytest.mark.parametrize("head", list(Head))
def test_json_and_back(squares: Manifest, head: Head) -> None:
    result = evaluate(checkpoint(square_reader(cell=4), head), squares, **QUICK)
    back = round_trip(result)
    assert back.to_dict() == result.to_dict()
    for name in ("head", "classes", "split", "map_size", "metrics", "roc", "pr", "localization", "locality", "notes"):
        assert getattr(back, name) == getattr(result, name)
    assert back.task is result.task
    np.testing.assert_array_equal(back.confusion, result.confusion)
    np.testing.assert_array_equal(back.predictions.logits, result.predictions.logits)
    for name, column in result.predictions.scores.items():
        np.testing.assert_array_equal(back.predictions.scores[name], column)


def test_what_is_not_defined_comes_back_as_nan(tmp_path: Path) -> None:
    manifest = write_squares(tmp_path, annotated=False)
    healthy = manifest.select(where=lambda sample: sample.labels == (0,))
    result = round_trip(evaluate(checkpoint(square_reader()), healthy, **QUICK))
    assert math.isnan(result.metrics["auroc"].estimate)
    assert math.isnan(result.roc["sick"].area)
    assert result.localization == {}


def test_another_format_is_refused(squares: Manifest) -> None:
    result = evaluate(checkpoint(square_reader()), squares, **QUICK)
    with pytest.raises(ValueError, match="another version"):
        Evaluation.from_dict({**result.to_dict(), "format": 0})


def test_the_summary_leaves_out_single_images_and_curves(squares: Manifest) -> None:
    summary = evaluate(checkpoint(square_reader()), squares, **QUICK).summary
    assert (summary["images"], summary["patients"], summary["annotated"]) == (16, 8, 7)
    assert summary["share_of_ceiling"]["pointing_game"] == pytest.approx(1)
    assert not {"predictions", "roc", "pr", "calibration"} & set(summary)
    json.dumps(summary, allow_nan=False)


def test_share_of_ceiling() -> None:
    interval = Interval(0.2, 0.1, 0.3, 0.95, 10, 0)
    assert LocalizationScore(interval, 0.01, 0.25).share_of_ceiling == 0.8
    assert math.isnan(LocalizationScore(interval, 0.0, 0.0).share_of_ceiling)


def test_names_of_classes(squares: Manifest) -> None:
    result = evaluate(checkpoint(square_reader((200.0,), (-3.0,)), task=Task.BINARY), squares, **QUICK)
    assert (result.class_names((0,)), result.class_names((1,))) == (("healthy",), ("sick",))
    nameless = replace(result, classes=("sick",))
    assert (nameless.class_names((0,)), nameless.class_names((1,))) == ((), ("sick",))
