from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.reporting.networks import PREPROCESSING, card, write_picture
from tests.training.conftest import tiny_network
from torch import nn

from softcam.cli import main
from softcam.model.checkpoint import Head, save_checkpoint

CLASSES = ("healthy", "early", "late")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
        return tiny_network(num_classes, in_channels)

    monkeypatch.setattr("softcam.model.checkpoint.build_backbone", build)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    described = card(CLASSES, head=Head.GAP)
    save_checkpoint(tiny_network(3), type(described)(**{**vars(described), "backbone": "tiny"}), tmp_path / "model")
    assert PREPROCESSING.to_dict() == described.preprocessing
    return tmp_path / "model"


def run(model: Path, *words: str | Path) -> int:
    return main(["explain", str(model), *map(str, words)])


def test_says_what_it_sees_and_where_the_results_are(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [write_picture(tmp_path / f"in/{number}.png", number) for number in range(3)]
    assert run(model, *images, "--out", tmp_path / "out", "--limit", "12") == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    for image, line in zip(images, printed, strict=False):
        seen = json.loads((tmp_path / "out" / f"{image.stem}.json").read_text())
        (name,) = seen["predicted"]
        assert line == f"{image}: {name} (highest probability {seen['probabilities'][name]:.3f})"
    assert printed[-1] == f"3 explained in {tmp_path / 'out'}, full colour at ±12 logits"


def test_json_is_all_that_goes_to_standard_output(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "in/a.png")
    assert run(model, tmp_path / "in", "--out", tmp_path / "out", "--top", "2", "--raw", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["converted"] is True
    assert result["failures"] == []
    record = json.loads(Path(result["images"][0]["record"]).read_text())
    assert record["limit"] == result["limit"]
    assert record["shown"] == "raw"
    assert len(record["overlays"]) == 2


def test_a_bad_file_makes_the_exit_code_1_but_the_rest_is_done(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = write_picture(tmp_path / "in/a.png"), tmp_path / "in/b.png"
    bad.write_bytes(b"no image")
    assert run(model, bad, good, "--out", tmp_path / "out") == 1
    assert f"{bad} is no image that softcam reads" in caplog.text
    assert capsys.readouterr().err.endswith(
        f"softcam: error: 1 of 2 could not be explained: {bad}; the reasons are above\n"
    )
    assert (tmp_path / "out/a.json").is_file()


def test_strict_stops(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "b.png"
    bad.write_bytes(b"no image")
    assert run(model, bad, "--out", tmp_path / "out", "--strict") == 1
    assert f"softcam: error: {bad} is no image that softcam reads" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_class_is_one_sentence(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = write_picture(tmp_path / "in/a.png")
    assert run(model, image, "--out", tmp_path / "out", "--class", "moon") == 1
    assert capsys.readouterr().err == (
        "softcam: error: class 'moon' is none that the model gives evidence for; choose from healthy, early, late\n"
    )


def test_named_classes_are_shown(model: Path, tmp_path: Path) -> None:
    image = write_picture(tmp_path / "in/a.png")
    assert run(model, image, "--out", tmp_path / "out", "--class", "late,early", "--contrast") == 0
    assert {file.name for file in (tmp_path / "out").glob("*.png")} == {"a.early.png", "a.late.png"}


def test_contrast_and_raw_exclude_one_another(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(model, "a.png", "--raw", "--contrast") == 1
    assert "--contrast and --raw are both given; choose one of the two" in capsys.readouterr().err


def test_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "nothing", "a.png") == 1
    assert "nothing does not exist; give the folder of a trained model or of a run" in capsys.readouterr().err
