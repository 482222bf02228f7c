from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.training.conftest import tiny_network, write_manifest
from torch import nn

from softcam.cli import main
from softcam.data.manifest import Manifest
from softcam.model.checkpoint import Head, load_checkpoint
from softcam.training.objective import Objective

SMALL = ("--size", "32", "--weights", "null", "--epochs", "2", "--batch-size", "4", "--workers", "0")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_manifest(tmp_path_factory.mktemp("images"))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
        return tiny_network(num_classes, in_channels)

    monkeypatch.setattr("softcam.training.network.build_backbone", build)
    monkeypatch.setattr("softcam.model.checkpoint.build_backbone", build)


def run(manifest: Manifest, out: Path, *flags: str) -> int:
    return main(["train", "--manifest", str(manifest.path), "--out", str(out), *SMALL, *flags])


def test_prints_the_run_and_its_best_numbers(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(manifest, out) == 0
    printed = capsys.readouterr().out.splitlines()
    best = load_checkpoint(out).card.metrics
    assert printed[0] == f"{out}: best epoch {best['epoch']} of 2"
    assert f"  auroc              {best['val_auroc']:.4f}" in printed
    assert printed[-1] == f"model: {out / 'model'}"


def test_json_is_all_that_goes_to_standard_output(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(manifest, tmp_path / "run", "--json", "--head", "gap") == 0
    result = json.loads(capsys.readouterr().out)
    card = load_checkpoint(result["model"]).card
    assert card.head is Head.GAP
    assert result["best_epoch"] == card.metrics["epoch"]
    assert result["metrics"]["auroc"] == card.metrics["val_auroc"]


def test_the_saved_configuration_repeats_the_run(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(manifest, first, "--stages", "stage1,stage2", "--augmentation", "chest", "--seed", "3") == 0
    assert main(["train", "--config", str(first / "config.yaml"), "--out", str(second)]) == 0
    values = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (first, second)]
    assert [value["run"].pop("out") for value in values] == [str(first), str(second)]
    assert values[0] == values[1]
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (first, second)]
    assert weights[0] == weights[1]


def test_fields_of_an_augmentation_of_ones_own(manifest: Manifest, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("data:\n  augmentation:\n    rotation: 30\n    contrast: [0.8, 1.2]\n")
    out = tmp_path / "run"
    assert run(manifest, out, "--config", str(config)) == 0
    augmentation = yaml.safe_load((out / "config.yaml").read_text())["data"]["augmentation"]
    assert (augmentation["rotation"], augmentation["contrast"], augmentation["hue"]) == (30.0, [0.8, 1.2], 0.0)
    assert main(["train", "--config", str(out / "config.yaml"), "--resume", "--epochs", "3"]) == 0


def test_ctrl_c_says_how_to_go_on_and_that_goes_on(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Objective.__call__, iter(range(10**6))

    def interrupt(self: Objective, *args: object, **keywords: object) -> object:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return original(self, *args, **keywords)  # type: ignore[arg-type]

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Objective, "__call__", interrupt)
        assert run(manifest, out) == 130
    said = capsys.readouterr().err
    command = said.partition("go on with: softcam ")[2].splitlines()[0].split()
    assert command == ["train", "--config", str(out / "config.yaml"), "--resume"]
    assert main(command) == 0
    assert "resumed after epoch 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--lr", "-1"), 1, "softcam: error: optim.lr is -1.0; a learning rate is a finite number above 0\n"),
        (("--head", "cam"), 2, "--model.head: 'cam' is not one of gap, softcam"),
        (("--precision", "half"), 2, "--optim.precision: 'half' is not one of fp32, bf16, fp16"),
        (("--stages", "stage7"), 1, "softcam: error: convert: no feature map comes from 'stage7'"),
        (("--resume",), 1, "holds no run to resume; correct --run.out, or leave out --resume"),
        (("--weights", "nowhere"), 1, "softcam: error: nowhere does not exist; give the folder of a trained model"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    manifest: Manifest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    assert run(manifest, tmp_path / "run", *flags) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()
