"""Evaluations on disk: JSON for all of it, CSV for the images.

::

    DIR/evaluation.json    all of an evaluation, see Evaluation.from_dict
    DIR/predictions.csv    one row per image: labels, probabilities, scores of the evidence
    DIR/comparison.json    differences to another model
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from softcam.errors import DataError
from softcam.evaluation.compare import Comparison
from softcam.evaluation.result import Evaluation
from softcam.files import atomic_path
from softcam.model.task import Task

EVALUATION_FILE, PREDICTIONS_FILE, COMPARISON_FILE = "evaluation.json", "predictions.csv", "comparison.json"


def write_evaluation(evaluation: Evaluation, directory: str | Path) -> None:
    """Write ``evaluation.json`` and ``predictions.csv`` into a folder.

    Args:
        evaluation: The evaluation.
        directory: The folder; it is created where it is missing.
    """
    _write_json(evaluation.to_dict(), Path(directory) / EVALUATION_FILE)
    with (
        atomic_path(Path(directory) / PREDICTIONS_FILE) as path,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows(_rows(evaluation))


def read_evaluation(directory: str | Path) -> Evaluation:
    """Read what :func:`write_evaluation` has written.

    Raises:
        DataError: There is no evaluation, or it is broken.
    """
    path = Path(directory) / EVALUATION_FILE
    if not path.is_file():
        raise DataError(f"{path} does not exist; make it with softcam evaluate")
    try:
        return Evaluation.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is not an evaluation ({error}); make it anew with softcam evaluate") from error


def write_comparison(comparison: Comparison, first: str, second: str, directory: str | Path) -> None:
    """Write ``comparison.json`` into a folder.

    Args:
        comparison: The comparison.
        first: How the first model is called.
        second: How the second is called.
        directory: The folder; it is created where it is missing.
    """
    names = {"first": first, "second": second}
    _write_json({**names, **comparison.to_dict()}, Path(directory) / COMPARISON_FILE)


def _write_json(values: dict[str, Any], path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8")


def _rows(evaluation: Evaluation) -> Iterator[list[Any]]:
    predictions, classes = evaluation.predictions, evaluation.classes
    outputs = classes[-1:] if predictions.task is Task.BINARY else classes
    labels, decisions, scores = predictions.labels, predictions.decisions, list(predictions.scores)
    yield ["image", "patient", "label", "decision", *(f"probability {name}" for name in outputs), *scores]
    for index, image in enumerate(predictions.images):
        answers = (labels[index], decisions[index])
        numbers = [*predictions.probabilities[index], *(predictions.scores[name][index] for name in scores)]
        names = ["|".join(evaluation.class_names(answer)) for answer in answers]
        yield [image, predictions.patients[index], *names, *("" if np.isnan(x) else f"{x:.6g}" for x in numbers)]
