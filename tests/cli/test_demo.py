from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.conftest import checkpoint, square_reader, write_squares

from softcam.cli import demo as verb, main
from softcam.demo import DemoResult
from softcam.evaluation.evaluate import evaluate


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the demo was asked for; in its place squares are measured."""
    found = evaluate(checkpoint(square_reader()), write_squares(tmp_path / "squares"), resamples=20, progress=False)
    seen: dict[str, Any] = {}

    def stand_in(out: Path, *, seed: int, say: Any) -> DemoResult:
        say("part: 1.0 s")
        seen.update(out=out, seed=seed)
        return DemoResult(out / "report.html", {"Fine": found})

    monkeypatch.setattr(verb, "run_demo", stand_in)
    return seen


def test_ends_with_a_row_per_network_and_the_place_of_the_report(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", "here", "--seed", "3"]) == 0
    assert asked == {"out": Path("here"), "seed": 3}
    printed = capsys.readouterr()
    assert printed.err == "part: 1.0 s\n"
    header, row, _, place = printed.out.strip().splitlines()
    assert re.split(r"\s{2,}", header) == [
        "network", "AUROC", "activation precision", "times chance", "pointing game", "locality",
    ]  # fmt: skip
    assert row.split() == ["Fine", "0.875", "1.000", "16.0", "1.00", "1.00"]
    assert place == "report: here/report.html"


def test_json_is_all_that_goes_to_standard_output(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert asked["out"] == Path("demo")
    assert result["report"] == "demo/report.html"
    assert result["evaluations"]["Fine"]["localization"]["pointing_game"]["score"]["estimate"] == 1
