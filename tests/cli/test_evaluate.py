from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evaluation.conftest import checkpoint, square_reader, write_squares
from torch import nn

from softcam.cli import main
from softcam.data.manifest import Manifest
from softcam.evaluation.write import read_evaluation
from softcam.model.checkpoint import Head, save_checkpoint

QUICK = ("--resamples", "20", "--workers", "0", "--device", "cpu")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
        return square_reader((0.0,) * num_classes, (0.0,) * num_classes)

    monkeypatch.setattr("softcam.model.checkpoint.build_backbone", build)


@pytest.fixture
def run(tmp_path: Path, manifest: Manifest) -> Path:
    return make_run(tmp_path / "run", manifest)


def make_run(folder: Path, manifest: Manifest, head: Head = Head.SOFTCAM) -> Path:
    given = checkpoint(square_reader(), head)
    folder.mkdir()
    save_checkpoint(given.model, given.card, folder / "model")
    (folder / "provenance.json").write_text(json.dumps({"manifest": str(manifest.path)}), encoding="utf-8")
    return folder


def test_prints_tables_and_writes_into_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        f"{run}: squares (softcam), split test of manifest.csv",
        "16 images of 8 patients",
        "",
        "decisions          estimate   95 % interval",
    ]
    assert lines[4].startswith("accuracy              0.875  [0.")
    evidence = lines.index("evidence                estimate   95 % interval  chance  ceiling")
    assert lines[evidence + 1 :] == [
        "activation_precision       1.000  [1.000, 1.000]   0.062    1.000",
        "activation_sensitivity     1.000  [1.000, 1.000]   1.000    1.000",
        "pointing_game              1.000  [1.000, 1.000]   0.062    1.000",
        "locality                   1.000  [1.000, 1.000]",
        "32×32 cells, 7 annotated images, completeness error 0.0e+00",
        f"written: {run}/evaluation/test",
    ]
    assert read_evaluation(run / "evaluation" / "test").annotated == 7


def test_json_is_all_that_goes_to_standard_output(
    run: Path, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", str(run), "--manifest", str(manifest.path), "--out", str(out), "--json", *QUICK]) == 0
    printed = json.loads(capsys.readouterr().out)
    (result,) = printed["evaluations"]
    assert result["metrics"]["accuracy"]["estimate"] == 14 / 16
    assert result["written"] == str(out)
    assert printed["comparison"] is None
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.json", "predictions.csv"]


def test_two_models_are_compared(
    run: Path, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_run(tmp_path / "black-box", manifest, Head.GAP)
    assert main(["evaluate", str(run), str(other), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert f"{other}: squares (gap), split test of manifest.csv" in printed
    assert "The black box is explained by its class activation map, in logit units." in printed
    lines = printed.splitlines()
    start = lines.index(f"{run} minus {other}")
    assert lines[start + 1 : start + 3] == [
        "difference              estimate     95 % interval      p",
        "accuracy                  +0.000  [+0.000, +0.000]  1.000",
    ]
    assert (run / "evaluation" / "test" / "comparison.json").is_file()
    assert (other / "evaluation" / "test" / "evaluation.json").is_file()


def test_two_models_go_to_folders_of_their_own(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", str(run), str(run), "--out", str(out), "--split", "all", *QUICK]) == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.json")) == [
        "comparison.json",
        "first/evaluation.json",
        "second/evaluation.json",
    ]


def test_without_annotations_a_line_says_so(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_squares(tmp_path / "plain", annotated=False)
    assert main(["evaluate", str(run), "--manifest", str(manifest.path), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "Localization is left out: no image of a finding has an annotation.\n" in printed
    assert "pointing_game" not in printed


def test_a_model_outside_a_run_writes_only_where_it_is_told(
    run: Path, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run / "model"), "--manifest", str(manifest.path), *QUICK]) == 0
    assert "written" not in capsys.readouterr().out
    assert sorted(path.name for path in run.iterdir()) == ["model", "provenance.json"]
    assert main(["evaluate", str(run / "model"), *QUICK]) == 1
    assert capsys.readouterr().err == (
        f"softcam: error: {run / 'model'} is no run that tells which images it was trained on; "
        "name some with --manifest\n"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--split", "val"),
            "has no image in the split val; fill its column 'split', or evaluate another split or all",
        ),
        (("--batch-size", "0"), "softcam: error: --batch-size is 0; it must be at least 1"),
        (("--device", "abacus"), "--device is abacus, which this machine does not have; leave it out, or use cpu"),
        (("--manifest", "missing.csv"), "missing.csv"),
    ],
)
def test_mistakes_are_one_sentence(
    run: Path, flags: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), *QUICK, *flags]) == 1
    error = capsys.readouterr().err
    assert error.startswith("softcam: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (run / "evaluation").exists()


def test_other_classes_end_with_1(
    run: Path, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = replace(manifest, classes=("healthy", "ill")).write(tmp_path / "renamed.csv")
    assert main(["evaluate", str(run), "--manifest", str(renamed.path), *QUICK]) == 1
    assert "has the classes healthy, ill, but the model knows healthy, sick;" in capsys.readouterr().err


def test_misuse_ends_with_2(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate"]) == 2
    assert main(["evaluate", str(run), "--split", "tset"]) == 2
    assert "--split: 'tset' is not one of train, val, test, all" in capsys.readouterr().err


def test_three_models_are_too_many(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), str(run), str(run)]) == 1
    assert capsys.readouterr().err == (
        "softcam: error: softcam evaluate takes one or two models, not 3; compare two at a time\n"
    )
