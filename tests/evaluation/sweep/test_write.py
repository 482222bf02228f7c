from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.evaluation.sweep.conftest import make_run

from softcam.evaluation.sweep.choose import MEASURES, RunResult, choose, setting_results
from softcam.evaluation.sweep.run import SweepResult
from softcam.evaluation.sweep.write import NAMES, as_markdown, chosen_sentence, write_results
from softcam.training.sweep.grid import DENSE, Point, Setting, SweepConfig

SPARSE, BROKEN = Setting(0.1, 0.0, 1.0), Setting(0.2, 0.0, 1.0)


def make_result(folder: Path, sparsity: float = 0.9, margin: float = 0.01) -> SweepResult:
    runs = [make_run(DENSE, 0), make_run(SPARSE, 0, 0, sparsity), RunResult(Point(BROKEN, 0), None, "the loss is nan")]
    results = setting_results(runs, resamples=20)
    config = SweepConfig(lambda1=(0.1, 0.2), mu=(1.0,), seeds=(0,), margin=margin)
    return SweepResult(folder, config, tuple(results), choose(results, margin), tuple(results[:2]))


def test_every_measure_has_a_name() -> None:
    assert tuple(NAMES) == MEASURES


def test_the_table_has_a_row_for_each_training_and_split(tmp_path: Path) -> None:
    write_results(make_result(tmp_path))
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["split"], row["l1"], row["mix"], row["sparsity"], row["failure"]) for row in rows] == [
        ("val", "0.0", "0.0", "0.5", ""),
        ("val", "0.1", "1.0", "0.9", ""),
        ("val", "0.2", "1.0", "", "the loss is nan"),
        ("test", "0.0", "0.0", "0.5", ""),
        ("test", "0.1", "1.0", "0.9", ""),
    ]


def test_json_says_all_of_it(tmp_path: Path) -> None:
    result = make_result(tmp_path)
    write_results(result)
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert told["chosen"] == {"l1": 0.1, "l2": 0.0, "mix": 1.0}
    assert told["model"] == str(tmp_path / "runs" / "l1-0.1_l2-0_mix-1_seed-0")
    assert [each["not_worse"] for each in told["validation"]] == [True, True, False]
    assert told["validation"][1]["minus_dense"]["auroc"]["resamples"] == 20
    assert told["validation"][2]["runs"][0]["failure"] == "the loss is nan"
    assert told["sweep"]["margin"] == 0.01


def test_people_read_why_it_was_chosen(tmp_path: Path) -> None:
    result = make_result(tmp_path)
    assert chosen_sentence(result) == (
        "Chosen: λ1 0.1, λ2 0, μ 1, the sparsest setting that is shown to lose less than 0.01 of AUROC "
        "(difference +0.000 [+0.000, +0.000])."
    )
    text = as_markdown(result)
    assert "| **λ1 0.1, λ2 0, μ 1** | 1.000 |" in text
    assert "locality" not in text
    assert "- λ1 0.2, λ2 0, μ 1, seed 0: the loss is nan" in text
    dense = make_result(tmp_path, sparsity=0.1)
    assert chosen_sentence(dense) == (
        "Chosen: λ1 0, λ2 0, μ 0 (dense); no sparser setting is shown to lose less than 0.01 of AUROC."
    )
