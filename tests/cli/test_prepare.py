from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from softcam.cli import main
from softcam.data.manifest import Manifest
from softcam.data.sources import SOURCES


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for label in ("normal", "drusen"):
        (tmp_path / "scans" / label).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (8, 8)).save(tmp_path / f"scans/{label}/{number}.png")
    return tmp_path / "scans"


def test_it_says_what_it_made(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = scans.parent / "m.csv"
    assert main(["prepare", "folder", str(scans), "--out", str(out), "--fractions", ".6,.2,.2", "--seed", "1"]) == 0
    assert capsys.readouterr().out == (
        f"{out}: 20 images of 20 patients, 0 with annotations\n"
        "class   train  val  test\n"
        "normal      6    2     2\n"
        "drusen      6    2     2\n"
        "images     12    4     4\n"
    )
    assert len(Manifest.read(out)) == 20


def test_json_for_machines(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = scans.parent / "m.csv"
    assert main(["prepare", "folder", str(scans), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "manifest": str(out),
        "images": 20,
        "patients": 20,
        "annotated": 0,
        "classes": ["normal", "drusen"],
        "counts": {
            "train": {"normal": 7, "drusen": 7},
            "val": {"normal": 1, "drusen": 1},
            "test": {"normal": 2, "drusen": 2},
        },
    }


def test_an_error_is_a_sentence_and_leaves_nothing(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "folder", str(scans), "--out", str(scans / "m.csv"), "--classes", "cnv"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"softcam: error: {scans} has no class 'cnv'; it has normal, drusen.\n"
    assert not (scans / "m.csv").exists()


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_explains_itself_with_an_example(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", source, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: softcam prepare {source} ")
    assert f"Example:\n  softcam prepare {source} " in printed
    assert "Print the summary as JSON." in printed


def test_the_sources_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {source} " in printed for source in SOURCES)
    assert main(["prepare", "rnsa"]) == 2
    assert capsys.readouterr().err.startswith(
        "softcam prepare: error: no source 'rnsa'; did you mean rsna? (one of csv, eyepacs, "
    )
