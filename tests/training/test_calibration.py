from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file
from tests.training.conftest import SIZE, tiny_network
from torch import nn

from softcam.metrics.classification import classification_metrics
from softcam.model.backbones import build_backbone
from softcam.model.checkpoint import Head, load_checkpoint, read_card
from softcam.model.convert import convert
from softcam.model.evidence import ClassEvidence, SoftCAM
from softcam.model.task import Task
from softcam.training.calibration import Scaling, calibrate, fit_scaling, output_layers, rescaled
from softcam.training.config import Calibration, TrainConfig
from softcam.training.loop import train
from softcam.training.state import RunFolder

MakeConfig = Callable[..., TrainConfig]
IMAGES = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def draw(logits: NDArray[np.float64], task: Task, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw labels as probable as the logits say."""
    probabilities = task.probabilities(torch.from_numpy(logits)).numpy()
    if task is not Task.MULTICLASS:
        return (rng.random(logits.shape) < probabilities).astype(np.int64)
    return (rng.random((len(logits), 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=logits.shape[1] - 1)


@settings(max_examples=12, deadline=None)
@given(
    task=st.sampled_from(Task),
    outputs=st.integers(2, 4),
    temperature=st.floats(0.2, 4.0),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_recovers_the_scaling_that_was_undone(
    task: Task, outputs: int, temperature: float, biased: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    outputs = 1 if task is Task.BINARY else outputs
    bias = rng.normal(size=outputs) * biased
    bias -= bias.mean() * (task is Task.MULTICLASS)  # what a softmax does not see
    meant = rng.normal(0, 2, (20_000, outputs))
    said, truth = (meant - bias) * temperature, draw(meant, task, rng)
    found = fit_scaling(said, truth, task, with_bias=biased)
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    assert found.bias == (pytest.approx(tuple(bias), abs=0.15) if biased else ())


def test_agrees_with_a_search_over_all_temperatures() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (40, 3))
    targets = draw(logits / 2, Task.MULTICLASS, rng)

    def cost(beta: float) -> float:
        scaled = torch.from_numpy(beta * logits)
        loss = nn.functional.cross_entropy(scaled, torch.from_numpy(targets), reduction="sum")
        return float(loss) + beta - 1 - np.log(beta)

    betas = np.linspace(0.05, 3, 29_501)
    best = betas[np.argmin([cost(beta) for beta in betas])]
    assert 1 / fit_scaling(logits, targets, Task.MULTICLASS).temperature == pytest.approx(best, abs=2e-4)


@pytest.mark.parametrize("method", [Calibration.TEMPERATURE, Calibration.BIAS])
def test_never_raises_the_loss_of_the_images_it_sees(method: Calibration) -> None:
    layers = output_layers(tiny_network(2), (SIZE, SIZE))
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(5, 2, generator=generator) * 3
        targets = torch.tensor([0, 1, 0, 1, 1])
        result = calibrate(logits, targets, Task.MULTICLASS, method, layers)
        assert result.after["loss"] <= result.before["loss"]
        assert result.before["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, targets)))


def test_a_temperature_changes_no_decision_and_no_auroc() -> None:
    logits = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    targets = (logits[:, 1] + torch.randn(50, generator=torch.Generator().manual_seed(1)) > 0).long()
    result = calibrate(
        logits, targets, Task.MULTICLASS, Calibration.TEMPERATURE, output_layers(tiny_network(2), (32, 32))
    )
    assert result.scaling.temperature != 1
    for name in ("accuracy", "auroc", "sensitivity"):
        assert result.after[name] == result.before[name]


def test_few_images_told_apart_without_a_mistake_do_not_make_it_certain() -> None:
    """The likelihood alone would ask for a temperature of 0."""
    logits = np.array([[1.0, -1.0], [-1.0, 1.0]] * 5)
    found = fit_scaling(logits, np.array([0, 1] * 5), Task.MULTICLASS)
    assert 0.2 < found.temperature < 1
    assert fit_scaling(np.zeros((10, 2)), np.array([0, 1] * 5), Task.MULTICLASS).temperature == pytest.approx(1)


@pytest.mark.parametrize(
    ("task", "targets", "method", "reason"),
    [
        (Task.MULTICLASS, [1, 1, 1], Calibration.TEMPERATURE, "all 3 validation images have the same labels"),
        (Task.BINARY, [[0], [0], [0]], Calibration.TEMPERATURE, "all 3 validation images have the same labels"),
        (
            Task.MULTILABEL,
            [[0, 1], [1, 1], [0, 1]],
            Calibration.BIAS,
            "all validation images agree on output 1, so its bias is unknown",
        ),
        (
            Task.MULTICLASS,
            [0, 1, 1],
            Calibration.BIAS,
            "all validation images agree on output 2, so its bias is unknown",
        ),
        (Task.MULTICLASS, [0, 1, 1], Calibration.NONE, "run.calibration is none"),
    ],
)
def test_what_cannot_be_fitted_is_left_alone(
    task: Task, targets: list[object], method: Calibration, reason: str
) -> None:
    truth = torch.tensor(targets)
    outputs = 3 if task is Task.MULTICLASS else truth.shape[1]
    layers = output_layers(tiny_network(outputs), (SIZE, SIZE))
    result = calibrate(torch.randn(3, outputs), truth, task, method, layers)
    assert (result.scaling, result.after, str(result)) == (Scaling(), {}, f"not calibrated: {reason}")
    assert result.to_dict() == {"left_out": reason}


def test_a_last_layer_without_bias_takes_a_temperature_only() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2, bias=False))
    layers = output_layers(network, (8, 8))
    logits, targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    assert calibrate(logits, targets, Task.MULTICLASS, Calibration.TEMPERATURE, layers).scaling.temperature < 1
    refused = calibrate(logits, targets, Task.MULTICLASS, Calibration.BIAS, layers)
    assert refused.reason == "the last layer has no bias to be moved; run.calibration temperature needs none"


class TestFolding:
    @pytest.mark.parametrize("task", list(Task))
    @pytest.mark.parametrize(
        "kind", [{}, {"stages": ("stage1", "stage2")}, {"stages": ("stage1", "stage2"), "fusion": 4}, {"power": 1.5}]
    )
    def test_scales_logits_and_maps_alike(self, task: Task, kind: dict[str, Any]) -> None:
        classes = 1 if task is Task.BINARY else 3
        model = convert(tiny_network(classes), task=task, example=IMAGES, **kind).eval()
        for layer in model.evidence:
            assert isinstance(layer, ClassEvidence)
            nn.init.normal_(layer.classes.weight)
        before = model.explain(IMAGES)
        scaling = Scaling(0.3, tuple(torch.linspace(-1, 1, classes).tolist()))
        with rescaled(output_layers(model, (SIZE, SIZE)), scaling):
            after = model.explain(IMAGES)
        torch.testing.assert_close(after.maps, before.maps / 0.3)
        torch.testing.assert_close(after.bias, before.bias / 0.3 + torch.tensor(scaling.bias))
        torch.testing.assert_close(after.logits, before.logits / 0.3 + torch.tensor(scaling.bias))
        assert after.completeness_error() < 1e-5

    def test_the_weights_come_back_bit_for_bit(self) -> None:
        network = tiny_network(2)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        with (
            pytest.raises(KeyboardInterrupt),
            rescaled(output_layers(network, (SIZE, SIZE)), Scaling(0.7, (0.1, 0.3))),
        ):
            assert not torch.equal(network.state_dict()["fc.weight"], before["fc.weight"])
            raise KeyboardInterrupt
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

    @pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v3_small", "convnext_tiny", "inception_v3"])
    def test_black_boxes_are_scaled_in_their_last_layer(self, name: str) -> None:
        network = build_backbone(name, num_classes=3).eval()
        size = (96, 96) if name == "inception_v3" else (64, 64)
        images = torch.randn(2, 3, *size)
        (layer,) = output_layers(network, size)
        with torch.no_grad():
            before = network(images)
            with rescaled([layer], Scaling(0.4)):
                torch.testing.assert_close(network(images), before / 0.4, rtol=1e-4, atol=1e-5)

    def test_a_network_that_changes_its_scores_once_more_is_left_alone(self) -> None:
        assert output_layers(build_backbone("squeezenet1_1", num_classes=2), (64, 64)) == ()
        assert output_layers(nn.Sequential(nn.Flatten(), nn.Softmax(dim=1)), (4, 4)) == ()


@pytest.mark.usefixtures("tiny")
class TestRun:
    @pytest.mark.parametrize("head", list(Head))
    def test_the_saved_model_is_the_trained_one_divided(self, make_config: MakeConfig, head: Head) -> None:
        run = train(make_config(model={"head": head}, optim={"epochs": 1}), progress=False)
        card = read_card(run / "model")
        record = card.training["calibration"]
        saved = load_file(run / "model" / "model.safetensors")
        trained = load_file(run / "last" / "epoch-0001" / "model.safetensors")
        assert record["temperature"] != 1
        scaled = {name for name, value in trained.items() if not torch.equal(value, saved[name])}
        names = {f"{'fc' if head is Head.GAP else 'evidence.0.classes'}.{kind}" for kind in ("weight", "bias")}
        assert scaled == names
        for name in names:
            torch.testing.assert_close(saved[name], trained[name] / record["temperature"])
        assert record["val_images"] == 7
        assert record["after"] == {name: card.metrics[f"val_{name}"] for name in ("loss", "ece")}
        assert RunFolder(run).result(make_config().run.monitor)["metrics"]["loss"] == record["after"]["loss"]

    def test_training_does_not_notice(self, make_config: MakeConfig) -> None:
        config = make_config()
        base = config.run.out
        states = []
        for method in Calibration:
            run = train(replace(config, run=replace(config.run, out=base / method, calibration=method)), progress=False)
            states.append(load_file(run / "last" / "epoch-0003" / "model.safetensors"))
            assert ("temperature" in read_card(run / "model").training["calibration"]) == (
                method is not Calibration.NONE
            )
        assert all(torch.equal(value, other[name]) for other in states[1:] for name, value in states[0].items())

    def test_it_is_said_and_recorded(self, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
        run = train(make_config(model={"task": Task.MULTILABEL}, optim={"epochs": 1}, run={"calibration": "bias"}))
        record = json.loads((run / "model" / "card.json").read_text())["training"]["calibration"]
        said = capsys.readouterr().err
        assert (
            f"calibrated: temperature {record['temperature']:.3f} and a bias per class, validation loss "
            f"{record['before']['loss']:.3f} → {record['after']['loss']:.3f}, calibration error "
        ) in said
        assert len(record["bias"]) == 2

    def test_completeness_holds_for_the_saved_model(self, make_config: MakeConfig) -> None:
        run = train(make_config(model={"stages": ("stage1", "stage2")}, optim={"epochs": 2}), progress=False)
        model = load_checkpoint(run).model
        assert isinstance(model, SoftCAM)
        assert model.explain(IMAGES).completeness_error() < 1e-5


def test_the_scores_are_those_of_the_scaled_logits() -> None:
    logits, targets = torch.randn(30, 3, generator=torch.Generator().manual_seed(2)), torch.arange(30) % 3
    layers = output_layers(tiny_network(3), (SIZE, SIZE))
    result = calibrate(logits, targets, Task.MULTICLASS, Calibration.TEMPERATURE, layers)
    probabilities = (logits.double() / result.scaling.temperature).softmax(dim=1).numpy()
    expected = classification_metrics(probabilities, targets.numpy(), Task.MULTICLASS)
    assert {name: result.after[name] for name in expected} == pytest.approx(expected)
