from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.evaluation.conftest import checkpoint, square_reader, write_squares
from torch import nn

from softcam.cli import main
from softcam.data.manifest import Manifest
from softcam.model.checkpoint import save_checkpoint


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
        return square_reader((0.0,) * num_classes, (0.0,) * num_classes)

    monkeypatch.setattr("softcam.model.checkpoint.build_backbone", build)


def make_run(folder: Path, manifest: Manifest) -> Path:
    given = checkpoint(square_reader())
    save_checkpoint(given.model, given.card, folder / "model")
    config = {"data": {"manifest": str(manifest.path)}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def test_the_manifest_is_that_of_the_run(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = make_run(tmp_path / "my-run", manifest), tmp_path / "page.html"
    assert main(["report", str(run), "--out", str(out), "--cases", "1"]) == 0
    assert capsys.readouterr().out == f"report: {out}\n"
    page = out.read_text(encoding="utf-8")
    assert "my-run" in page
    assert "manifest.csv, split test: 16 images" in page


def test_several_runs_by_name_and_json(manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(make_run(tmp_path / name, manifest)) for name in ("a", "b")]
    out = tmp_path / "page.html"
    flags = ("--names", "First,Second", "--split", "all", "--title", "Two", "--json", "--cases", "0")
    assert main(["report", *runs, "--out", str(out), *flags]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(out), "runs": ["First", "Second"]}
    page = out.read_text(encoding="utf-8")
    assert "<title>Two</title>" in page
    assert "manifest.csv, all splits: 16 images" in page
    assert "difference to First" in page


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--names", "a,b"), "--names has 2 names for 1 runs; give one for each"),
        (("--finding", "ill"), "class is 'ill', which the models do not know; choose one of healthy, sick"),
    ],
)
def test_a_mistake_is_one_sentence(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "page.html"
    assert main(["report", str(make_run(tmp_path / "run", manifest)), "--out", str(out), *flags]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"softcam: error: {message}"
    assert not out.exists()


def test_a_bare_model_needs_a_manifest(manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_run(tmp_path / "run", manifest) / "model"
    out = tmp_path / "page.html"
    assert main(["report", str(model), "--out", str(out)]) == 1
    assert capsys.readouterr().err == (
        f"softcam: error: {model} has no config.yaml that names its manifest; give --manifest\n"
    )
    assert main(["report", str(model), "--out", str(out), "--manifest", str(manifest.path)]) == 0
    assert "run" in out.read_text(encoding="utf-8")


def test_same_names_are_told_apart_by_the_user(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(make_run(tmp_path / parent / "run", manifest)) for parent in ("a", "b")]
    assert main(["report", *runs, "--out", str(tmp_path / "page.html")]) == 1
    assert "two runs are called 'run'; give each its own name with --names" in capsys.readouterr().err
