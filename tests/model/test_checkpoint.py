from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import softcam
from softcam import ModelCard, Task, load_checkpoint, save_checkpoint
from softcam.model.backbones import build_backbone
from softcam.model.checkpoint import CARD_FILE, WEIGHTS_FILE, Head
from tests.model.networks import TinyNet, randomize

IMAGES = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))


def card_of(head: Head, **changes: object) -> ModelCard:
    values = {
        "backbone": "resnet18",
        "head": head,
        "classes": ("normal", "ill"),
        "task": Task.MULTICLASS,
        "in_channels": 1,
    }
    return ModelCard(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[softcam.SoftCAM, Path]:
    folder = tmp_path_factory.mktemp("run") / "model"
    model = softcam.convert(build_backbone("resnet18", num_classes=2, in_channels=1), stages=("layer2", "layer4"))
    save_checkpoint(model, card_of(Head.SOFTCAM, stages=("layer2", "layer4"), metrics={"auroc": 0.5}), folder)
    return model.eval(), folder


def test_a_softcam_comes_back_as_it_was(saved: tuple[softcam.SoftCAM, Path]) -> None:
    model, folder = saved
    loaded = load_checkpoint(folder)
    assert isinstance(loaded.model, softcam.SoftCAM)
    assert not loaded.model.training
    assert loaded.card.metrics == {"auroc": 0.5}
    assert torch.equal(loaded.model(IMAGES), model(IMAGES))


def test_a_run_stands_for_its_model(saved: tuple[softcam.SoftCAM, Path]) -> None:
    assert load_checkpoint(saved[1].parent).card == load_checkpoint(saved[1]).card


def test_a_black_box_comes_back_as_it_was(tmp_path: Path) -> None:
    network = build_backbone("resnet18", num_classes=1, in_channels=1).eval()
    save_checkpoint(network, card_of(Head.GAP, task=Task.BINARY), tmp_path / "model")
    loaded = load_checkpoint(tmp_path / "model")
    assert loaded.card.num_outputs == 1
    assert loaded.card.output_names == ("ill",)
    assert torch.equal(loaded.model(IMAGES), network(IMAGES))


def test_a_network_of_ones_own_is_given(tmp_path: Path) -> None:
    model = softcam.convert(randomize(TinyNet(2, 1))).eval()
    save_checkpoint(model, card_of(Head.SOFTCAM, backbone="custom"), tmp_path / "model")
    with pytest.raises(softcam.CheckpointError, match="network of your own"):
        load_checkpoint(tmp_path / "model")
    loaded = load_checkpoint(tmp_path / "model", network=TinyNet(2, 1))
    torch.testing.assert_close(loaded.model(IMAGES), model(IMAGES))


def test_a_missing_folder_and_one_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(softcam.CheckpointError, match="does not exist; give the folder of a trained model"):
        load_checkpoint(tmp_path / "nothing")
    with pytest.raises(softcam.CheckpointError, match=r"holds no model\.safetensors"):
        load_checkpoint(tmp_path)


def test_broken_files_are_named(saved: tuple[softcam.SoftCAM, Path], tmp_path: Path) -> None:
    for name in (CARD_FILE, WEIGHTS_FILE):
        for file in (CARD_FILE, WEIGHTS_FILE):
            (tmp_path / file).write_bytes((saved[1] / file).read_bytes())
        (tmp_path / name).write_bytes(b"no")
        with pytest.raises(softcam.CheckpointError, match=name.replace(".", r"\.")):
            load_checkpoint(tmp_path)


def test_weights_of_another_network_are_refused(saved: tuple[softcam.SoftCAM, Path], tmp_path: Path) -> None:
    card = json.loads((saved[1] / CARD_FILE).read_text())
    (tmp_path / CARD_FILE).write_text(json.dumps({**card, "classes": ["a", "b", "c"]}))
    (tmp_path / WEIGHTS_FILE).write_bytes((saved[1] / WEIGHTS_FILE).read_bytes())
    with pytest.raises(softcam.CheckpointError, match="does not fit resnet18 with 3 outputs"):
        load_checkpoint(tmp_path)


def test_nothing_half_written_stays_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(TinyNet(), card_of(Head.GAP), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
