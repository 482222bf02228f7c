from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.explainers import build_explainer
from softcam.explainers.gradients import SmoothGrad
from tests.explainers.networks import Classifier, LinearClassifier, batch, seeded

CLASSES = torch.tensor([0, 1, 2, 1])


def test_saliency_of_a_linear_network_is_its_largest_weight() -> None:
    model = LinearClassifier()
    explanation = build_explainer("saliency", model)(batch(4), CLASSES)
    torch.testing.assert_close(explanation.maps, model.kernels[CLASSES].abs().amax(1))
    assert explanation.map_size == (16, 16)


def test_saliency_is_that_of_captum() -> None:
    from captum.attr import Saliency

    model = seeded(Classifier)
    expected = Saliency(model).attribute(batch(4), CLASSES).amax(1)
    torch.testing.assert_close(build_explainer("saliency", model)(batch(4), CLASSES).maps, expected)


def test_smoothgrad_of_a_linear_network_is_saliency() -> None:
    model = LinearClassifier()
    smooth, plain = (build_explainer(name, model)(batch(4), CLASSES).maps for name in ("smoothgrad", "saliency"))
    torch.testing.assert_close(smooth, plain)


class Cubes(nn.Module):
    """One logit, ``Σ x³``: its mean gradient over noise of deviation s is ``3 (x² + s²)``."""

    def forward(self, images: Tensor) -> Tensor:
        return (images**3).flatten(1).sum(1, keepdim=True)


def test_smoothgrad_averages_over_noise_scaled_to_the_range_of_the_image() -> None:
    images = batch(2, (4, 4), channels=1) * torch.tensor([1.0, 10.0]).view(2, 1, 1, 1)
    deviation = 0.5 * (images.amax((1, 2, 3)) - images.amin((1, 2, 3))).view(2, 1, 1, 1)
    expected = 3 * (images**2 + deviation**2)[:, 0]
    explain = SmoothGrad("smoothgrad", Cubes(), samples=20_000, noise=0.5, batch_size=5000)
    maps = explain(images, torch.tensor([0, 0])).maps
    torch.testing.assert_close(maps, expected, rtol=0.1, atol=0.0)


def test_smoothgrad_averages_before_it_takes_the_magnitude() -> None:
    class Squares(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (images**2).flatten(1).sum(1, keepdim=True)

    black = torch.zeros(1, 1, 4, 4)
    black[0, 0, 0, 0] = 1  # the range; elsewhere gradients of either sign cancel
    maps = SmoothGrad("smoothgrad", Squares(), samples=4000, noise=0.1, batch_size=1000)(black, torch.tensor([0])).maps
    assert abs(float(maps[0, 0, 0]) - 2) < 0.02
    assert maps[0, 1:].max() < 0.02


def test_smoothgrad_in_chunks_is_the_same() -> None:
    model = seeded(Classifier)
    whole = SmoothGrad("smoothgrad", model, samples=7, batch_size=7)(batch(4), CLASSES).maps
    parts = SmoothGrad("smoothgrad", model, samples=7, batch_size=3)(batch(4), CLASSES).maps
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
