from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from softcam.errors import CheckpointError, ConfigError
from softcam.model.checkpoint import Head, ModelCard, save_checkpoint
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task
from softcam.training.config import ModelConfig
from softcam.training.network import build_network

pytestmark = pytest.mark.usefixtures("tiny")

SOFTCAM = ModelConfig("resnet18", weights=None)
GAP = replace(SOFTCAM, head=Head.GAP)


def build(config: ModelConfig, outputs: int = 2, seed: int = 3) -> tuple[nn.Module, str]:
    built = build_network(config, num_outputs=outputs, in_channels=3, task=Task.MULTICLASS, seed=seed)
    return built.network, "\n".join(built.notes)


def save(network: nn.Module, config: ModelConfig, folder: Path, classes: str = "ab") -> Path:
    layers = {} if config.head is Head.GAP else {"fusion": config.fusion, "power": config.power}
    card = ModelCard(config.backbone, config.head, tuple(classes), Task.MULTICLASS, stages=config.stages, **layers)
    save_checkpoint(network, card, folder)
    return folder


def logits(network: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = network.eval()(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    return output


def test_both_heads_of_a_seed_start_as_the_same_function() -> None:
    (black_box, _), (softcam, notes) = build(GAP), build(SOFTCAM)
    assert not isinstance(black_box, SoftCAM)
    assert isinstance(softcam, SoftCAM)
    assert black_box.training
    assert softcam.training
    torch.testing.assert_close(logits(black_box), logits(softcam), atol=1e-4, rtol=0)
    assert notes.startswith("conversion: exact")


def test_earlier_stages_leave_the_function_as_it_is() -> None:
    staged, _ = build(replace(SOFTCAM, stages=("stage1", "stage2")))
    torch.testing.assert_close(logits(build(GAP)[0]), logits(staged), atol=1e-4, rtol=0)


def test_another_seed_another_start() -> None:
    assert not torch.equal(logits(build(GAP)[0]), logits(build(GAP, seed=4)[0]))


@pytest.mark.parametrize("source", [GAP, SOFTCAM, replace(SOFTCAM, stages=("stage1", "stage2"))])
@pytest.mark.parametrize("head", list(Head))
def test_weights_of_a_trained_model_are_taken(source: ModelConfig, head: Head, tmp_path: Path) -> None:
    trained, _ = build(source, seed=9)
    folder = save(trained, source, tmp_path / "model")
    target = replace(source, head=head, weights=folder)
    network, notes = build(target)
    if source.head is head or source.head is Head.GAP:
        torch.testing.assert_close(logits(network), logits(trained), atol=1e-4, rtol=0)
        assert f"tensors from {folder}" in notes
        assert "newly initialised" not in notes
    else:  # evidence layers have no place in the plain classifier
        assert notes.endswith("newly initialised: fc.weight (2, 12), fc.bias (2,)")
        convolution = network.get_submodule("stage2.0").weight
        assert torch.equal(convolution, trained.get_submodule("backbone.stage2.0").weight)


def test_other_classes_leave_the_last_layer_new_and_say_so(tmp_path: Path) -> None:
    trained, _ = build(GAP, outputs=5)
    _, notes = build(replace(GAP, weights=save(trained, GAP, tmp_path / "model", "abcde")))
    assert notes == (
        f"weights: 6 of 8 tensors from {tmp_path / 'model'}; newly initialised: fc.weight (2, 12), fc.bias (2,)"
    )


def test_evidence_of_other_stages_is_not_taken(tmp_path: Path) -> None:
    source = replace(SOFTCAM, stages=("stage2",))
    trained, _ = build(source)
    _, notes = build(replace(SOFTCAM, stages=("stage1", "stage2"), weights=save(trained, source, tmp_path / "m")))
    assert "newly initialised: evidence.0.classes.weight (2, 8, 1, 1)" in notes


@pytest.mark.parametrize("change", [{"fusion": 8}, {"power": 2.0}, {"stages": ("stage2",)}])
def test_evidence_layers_of_another_kind_are_not_taken(change: dict[str, object], tmp_path: Path) -> None:
    ours = replace(SOFTCAM, stages=("stage1", "stage2"))
    other = replace(ours, **change)
    folder = save(build(other, seed=5)[0], other, tmp_path / "model")
    network, notes = build(replace(ours, weights=folder))
    fresh, _ = build(ours)
    assert "newly initialised: evidence.0.classes.weight" in notes
    for name, value in network.state_dict().items():
        if name.startswith("evidence"):
            assert torch.equal(value, fresh.state_dict()[name])


def test_a_fused_network_goes_on_from_itself(tmp_path: Path) -> None:
    config = replace(SOFTCAM, stages=("stage1", "stage2"), fusion=4, power=2.0)
    source, _ = build(config, seed=5)
    folder = save(source, config, tmp_path / "model")
    network, notes = build(replace(config, weights=folder))
    assert "newly initialised" not in notes
    torch.testing.assert_close(logits(network), logits(source))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    vgg = ModelConfig("squeezenet1_0", weights=None, head=Head.GAP)
    folder = save(build(vgg)[0], vgg, tmp_path / "model")
    with pytest.raises(CheckpointError) as error:
        build(replace(GAP, weights=folder))
    assert str(error.value) == f"nothing in {folder} fits this network; give model.weights of the same backbone"


def test_missing_weights_and_unknown_names_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"^{tmp_path / 'none'} does not exist"):
        build(replace(GAP, weights=tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"^backbone 'rasnet18' is not a torchvision classifier"):
        build(replace(GAP, backbone="rasnet18"))
    with pytest.raises(ConfigError, match="no feature map comes from 'layer9'"):
        build(replace(SOFTCAM, stages=("layer9",)))
