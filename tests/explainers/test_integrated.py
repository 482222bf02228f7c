from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from softcam.explainers import build_explainer
from softcam.explainers.integrated import Baseline, IntegratedGradients
from tests.explainers.networks import NETWORKS, LinearClassifier, batch

CLASSES = torch.tensor([0, 1, 2, 1])


def chosen(model: torch.nn.Module, images: Tensor) -> Tensor:
    return model(images)[torch.arange(4), CLASSES].detach()


@pytest.mark.parametrize("baseline", Baseline)
def test_of_a_linear_network_it_is_weight_times_way(baseline: Baseline) -> None:
    model, images = LinearClassifier(), batch(4)
    explanation = IntegratedGradients("ig", model, baseline)(images, CLASSES)
    expected = (model.kernels[CLASSES] * (images - baseline.of(images))).sum(1)
    torch.testing.assert_close(explanation.maps, expected, rtol=1e-4, atol=1e-6)
    assert explanation.map_size == (16, 16)


@pytest.mark.parametrize("network", ["black box", "window", "stages", "functional"])
@pytest.mark.parametrize("baseline", Baseline)
def test_a_map_adds_up_to_what_the_image_adds_to_the_logit(baseline: Baseline, network: str) -> None:
    model, images = NETWORKS[network](), batch(4)
    model.double()
    explainer = IntegratedGradients("ig", model, baseline, steps=500, batch_size=500)
    maps = explainer(images.double(), torch.where(CLASSES < 3, CLASSES, 0)).maps
    added = chosen(model, images.double()) - chosen(model, baseline.of(images.double()))
    torch.testing.assert_close(maps.sum((1, 2)), added.float(), rtol=0.01, atol=0.002)


def test_fifty_steps_are_enough() -> None:
    model, images = NETWORKS["black box"](), batch(4)
    maps = build_explainer("integrated-gradients", model)(images, CLASSES).maps
    added = chosen(model, images) - chosen(model, 0 * images)
    assert float((maps.sum((1, 2)) - added).abs().max() / added.abs().max()) < 0.02


def test_the_blurred_baseline_is_a_gaussian_of_a_sixteenth_of_the_shorter_side() -> None:
    impulse = torch.zeros(1, 1, 97, 65)
    impulse[0, 0, 48, 32] = 1
    blurred = Baseline.BLUR.of(impulse)[0, 0]
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    assert blurred[48, 32 + 4] / blurred[48, 32] == pytest.approx(math.exp(-(4**2) / (2 * (65 / 16) ** 2)), rel=1e-3)
    torch.testing.assert_close(Baseline.BLUR.of(torch.full((2, 3, 8, 5), 3.0)), torch.full((2, 3, 8, 5), 3.0))
    torch.testing.assert_close(Baseline.BLUR.of(torch.ones(1, 1, 2, 2)), torch.ones(1, 1, 2, 2))
    assert not Baseline.ZERO.of(impulse).any()


def test_memory_is_bounded_by_the_batch_size() -> None:
    model, seen = NETWORKS["black box"](), []
    model.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    IntegratedGradients("ig", model, steps=20, batch_size=8)(batch(4), CLASSES)
    assert max(seen) <= 8
    assert sum(seen) == 20 * 4
