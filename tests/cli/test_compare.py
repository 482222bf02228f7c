from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.test_evaluate import make_run, tiny as tiny
from tests.evaluation.conftest import write_squares

from softcam.cli import main
from softcam.data.manifest import Manifest
from softcam.model.checkpoint import Head

FAST = ("--resamples", "20", "--patches", "4", "--device", "cpu", "--explainers", "softcam,gradcam,uniform")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture
def run(tmp_path: Path, manifest: Manifest) -> Path:
    return make_run(tmp_path / "ours", manifest)


def arguments(run: Path, manifest: Manifest, out: Path, *further: str) -> list[str]:
    return ["compare", str(run), "--manifest", str(manifest.path), "--out", str(out), *FAST, *further]


def test_tables_are_printed_and_written(
    run: Path, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box, out = make_run(tmp_path / "box", manifest, Head.GAP), tmp_path / "out"
    assert main(arguments(run, manifest, out, "--black-box", str(box))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["16 images of 8 patients", "", "Every method on ours"]
    assert lines[3].split()[:4] == ["method", "map", "passes", "ms"]
    assert lines[4].startswith("SoftCAM")
    assert "Post-hoc methods on box, a black box trained separately, and SoftCAM on its own network" in lines
    assert lines[-1] == f"written: {out}/comparison.html"
    assert {path.name for path in out.iterdir()} == {
        "comparison.csv",
        "comparison.html",
        "comparison.json",
        "comparison.md",
        "comparison.tex",
        "curves.csv",
        "figures",
        "maps",
        "records",
        "scores.csv",
    }
    assert main(arguments(run, manifest, out, "--black-box", str(box))) == 0
    assert "continued: 80 maps were there already" in capsys.readouterr().out


def test_json_is_all_that_goes_to_standard_output(
    run: Path, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = ("--metrics", "pointing_game", "--names", "A")
    assert main(arguments(run, manifest, tmp_path / "out", "--json", *metrics)) == 0
    printed = json.loads(capsys.readouterr().out)
    (table,) = printed["tables"]
    assert table["reference"] == ["A", "softcam"]
    assert [row["explainer"] for row in table["rows"]] == ["softcam", "gradcam", "uniform"]
    assert (printed["images"], printed["continued"], printed["metrics"]) == (7, 0, ["pointing_game"])


def test_the_published_protocol(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    assert main(arguments(run, manifest, tmp_path / "out", "--protocol", "paper", "--metrics", "deletion")) == 0
    assert main(arguments(run, manifest, tmp_path / "out", "--metrics", "deletion")) == 1


def test_without_annotations_a_line_says_so(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = write_squares(tmp_path / "plain", annotated=False)
    assert main(arguments(run, plain, tmp_path / "out")) == 0
    assert "\nLocalization is left out: no image of a finding has an annotation.\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--explainers", "softcam,gradcma"), "there is no explainer 'gradcma'; choose from softcam, "),
        (("--metrics", "accuracy"), "metrics has 'accuracy'; choose from activation_precision, "),
        (("--reference", "cam"), "reference is cam, which is not among the explainers softcam, gradcam, uniform;"),
        (("--batch-size", "0"), "--batch-size is 0; it must be at least 1"),
        (("--max-images", "0"), "max_images is 0; it must be at least 1"),
        (("--split", "val"), "has no image in the split val"),
        (("--names", "A,B"), "--names has 2 names for 1 runs; give one for each"),
    ],
)
def test_mistakes_are_one_sentence(
    run: Path,
    manifest: Manifest,
    tmp_path: Path,
    flags: tuple[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments(run, manifest, tmp_path / "out", *flags)) == 1
    error = capsys.readouterr().err
    assert error.startswith("softcam: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
