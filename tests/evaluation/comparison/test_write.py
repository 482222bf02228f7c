from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.comparison.conftest import FAKES, compared

from softcam.data.manifest import Manifest
from softcam.evaluation.comparison.plan import Plan
from softcam.evaluation.comparison.tables import Table, make_tables
from softcam.evaluation.comparison.write import write_tables
from softcam.metrics.bootstrap import paired_difference

BAD = f"{FAKES}:fails_on_one"


@pytest.fixture(scope="module")
def written(squares: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, tuple[Table, ...]]:
    out = tmp_path_factory.mktemp("out")
    plan, explained = compared(squares, out, ("softcam", BAD, "random"))
    tables = make_tables(plan, explained)
    write_tables(plan, explained, tables, ("A note.",), out)
    return out, plan, tables


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_can_be_made_again_from_the_numbers_of_each_image(
    written: tuple[Path, Plan, tuple[Table, ...]],
) -> None:
    out, plan, tables = written
    images = rows_of(out / "scores.csv")
    assert len(images) == 3 * 16
    columns = {
        name: np.array([float(row["deletion"] or "nan") for row in images if row["explainer"] == name])
        for name in ("softcam", BAD)
    }
    lines = {(row["explainer"], row["metric"]): row for row in rows_of(out / "comparison.csv")}
    assert float(lines[BAD, "deletion"]["estimate"]) == pytest.approx(np.nanmean(columns[BAD]), rel=1e-5)
    assert lines[BAD, "deletion"]["images"] == "14"
    assert lines[BAD, "deletion"]["failures"] == "2"
    defined = np.isfinite(columns[BAD])
    patients = [sample.patient for sample in plan.samples]
    again = paired_difference(
        lambda values: np.nanmean(values),
        [columns[BAD]],
        [np.where(defined, columns["softcam"], np.nan)],
        patients,
        resamples=20,
    )
    assert float(lines[BAD, "deletion"]["difference"]) == pytest.approx(again.estimate, abs=1e-5)
    assert float(lines[BAD, "deletion"]["difference_low"]) == pytest.approx(again.low, abs=1e-5)
    assert float(lines[BAD, "deletion"]["p"]) == pytest.approx(again.p_value, rel=1e-5)
    assert tables[0].rows[1].failures == 2


def test_numbers_of_an_image(written: tuple[Path, Plan, tuple[Table, ...]]) -> None:
    out, plan, _ = written
    healthy, sick = rows_of(out / "scores.csv")[:2]
    assert sick["image"] == str(plan.samples[1].image)
    assert sick["patient"] == "patient 0"
    assert (sick["map_rows"], sick["forward_passes"], sick["error"]) == ("32", "1", "")
    assert (sick["pointing_game"], sick["pointing_game_chance"], sick["pointing_game_ceiling"]) == ("1", "0.0625", "1")
    assert (healthy["pointing_game"], healthy["pointing_game_chance"]) == ("", "")
    assert healthy["deletion"]
    assert "deletion_chance" not in healthy


def test_curves_begin_where_they_are_drawn(written: tuple[Path, Plan, tuple[Table, ...]]) -> None:
    out, _, _ = written
    curves = rows_of(out / "curves.csv")
    places = {
        name: [row["place"] for row in curves if row["curve"] == name and row["explainer"] == "softcam"]
        for name in ("topk_precision", "deletion", "deletion_kept")
    }
    assert places == {
        "topk_precision": ["1", "2", "3", "4"],
        "deletion": ["0", "1", "2", "3", "4"],
        "deletion_kept": ["0", "1", "2", "3", "4"],
    }


def test_json_holds_all_of_it(written: tuple[Path, Plan, tuple[Table, ...]]) -> None:
    out, _, _ = written
    values = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert (values["images"], values["patients"], values["notes"]) == (16, 8, ["A note."])
    softcam = values["tables"][0]["rows"][0]
    assert softcam["cells"]["pointing_game"]["value"]["estimate"] == 1.0
    assert softcam["cells"]["pointing_game"]["difference"] is None
    assert softcam["cells"]["deletion"]["chance"] is None
    assert (out / "comparison.md").read_text(encoding="utf-8").endswith("- A note.\n")
    assert r"\toprule" in (out / "comparison.tex").read_text(encoding="utf-8")
