from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.evaluation.conftest import checkpoint, square_reader

from softcam.data.manifest import Manifest
from softcam.errors import DataError
from softcam.evaluation.compare import compare
from softcam.evaluation.evaluate import evaluate
from softcam.evaluation.result import Evaluation
from softcam.evaluation.write import read_evaluation, write_comparison, write_evaluation


@pytest.fixture(scope="module")
def result(squares: Manifest) -> Evaluation:
    return evaluate(checkpoint(square_reader()), squares, resamples=20, progress=False)


def test_all_of_it_can_be_read_again(result: Evaluation, tmp_path: Path) -> None:
    write_evaluation(result, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["evaluation.json", "predictions.csv"]
    assert read_evaluation(tmp_path / "out").to_dict() == result.to_dict()


def test_one_row_per_image(result: Evaluation, squares: Manifest, tmp_path: Path) -> None:
    write_evaluation(result, tmp_path)
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [str(sample.image) for sample in squares.samples]
    assert list(rows[0])[:6] == ["image", "patient", "label", "decision", "probability healthy", "probability sick"]
    assert (rows[11]["label"], rows[11]["decision"]) == ("healthy", "sick")
    assert float(rows[11]["probability sick"]) == pytest.approx(result.predictions.probabilities[11, 1], rel=1e-5)
    assert [row["pointing_game"] for row in rows[:4]] == ["", "1", "", "1"]


def test_comparisons_name_their_models(result: Evaluation, tmp_path: Path) -> None:
    write_comparison(compare(result, result, resamples=5), "a", "b", tmp_path)
    written = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert (written["first"], written["second"], written["delong"]) == ("a", "b", None)
    assert written["differences"]["auroc"]["estimate"] == 0


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    with pytest.raises(DataError) as caught:
        read_evaluation(tmp_path)
    assert str(caught.value) == f"{path} does not exist; make it with softcam evaluate"
    for text in ("{", "[]", '{"format": 1}', '{"format": 2}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"evaluation\.json is not an evaluation .*; make it anew with"):
            read_evaluation(tmp_path)
