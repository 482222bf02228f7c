from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import softcam
from softcam.explainers import build_explainer
from softcam.explainers.guided import GuidedRectifiers
from tests.explainers.networks import Classifier, FunctionalClassifier, batch, seeded

CLASSES = torch.tensor([0, 1, 2, 1])


def explain(model: nn.Module) -> Tensor:
    return build_explainer("guided-backprop", model)(batch(4), CLASSES).maps


class Chain(nn.Module):
    """Three convolutions with a rectifier after two of them, written in any way."""

    def __init__(self, rectify: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.rectify = rectify

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.rectify(self.layers[1](self.rectify(self.layers[0](images))))
        return self.layers[2](hidden).mean((2, 3))


class InModules(nn.Module):
    """The same with a module of its own for each rectifier, which every library gets right."""

    def __init__(self, rectifier: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.first, self.second = rectifier(), rectifier()

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.second(self.layers[1](self.first(self.layers[0](images))))
        return self.layers[2](hidden).mean((2, 3))


def forget_what_it_returns(hidden: Tensor) -> Tensor:
    F.relu(hidden, inplace=True)
    return hidden


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "functional": F.relu,
    "functional, in place": lambda hidden: F.relu(hidden, inplace=True),
    "in place, its result unused": forget_what_it_returns,
    "torch.relu": torch.relu,
    "method": lambda hidden: hidden.relu(),
    "method, in place": lambda hidden: hidden.relu_(),
    "torch.relu_": torch.relu_,
    "one module, reused": nn.ReLU(),
    "one module, reused and in place": nn.ReLU(inplace=True),
}


def test_with_modules_it_is_that_of_captum() -> None:
    from captum.attr import GuidedBackprop

    model = seeded(InModules)
    expected = GuidedBackprop(model).attribute(batch(4), CLASSES).abs().amax(1)
    torch.testing.assert_close(explain(model), expected)


@pytest.mark.parametrize("way", WAYS)
def test_it_does_not_matter_how_a_rectifier_is_written(way: str) -> None:
    torch.testing.assert_close(explain(seeded(lambda: Chain(WAYS[way]))), explain(seeded(InModules)))


def test_captum_passes_over_functional_rectifiers() -> None:
    """Why it is not used: should this fail one day, it could be."""
    from captum.attr import GuidedBackprop

    functional = GuidedBackprop(seeded(lambda: Chain(F.relu))).attribute(batch(4), CLASSES)
    assert not torch.allclose(functional.abs().amax(1), explain(seeded(InModules)))


def test_relu6_is_a_rectifier() -> None:
    small = seeded(lambda: InModules(nn.ReLU6))  # activations are far below 6
    torch.testing.assert_close(explain(small), explain(seeded(InModules)))
    torch.testing.assert_close(explain(seeded(lambda: Chain(F.relu6))), explain(small))


class Skip(nn.Module):
    """One logit, the sum of ``a·relu(x) + b·x`` over the pixels."""

    def __init__(self, rectified: float, skipped: float) -> None:
        super().__init__()
        self.rectified, self.skipped = rectified, skipped

    def forward(self, images: Tensor) -> Tensor:
        return (self.rectified * F.relu(images) + self.skipped * images).flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize(("rectified", "skipped"), [(2.0, -3.0), (-2.0, 3.0), (-1.0, -1.0)])
def test_a_skip_connection_is_not_guided(rectified: float, skipped: float) -> None:
    images = torch.tensor([[[[1.0, -1.0]]]])
    maps = build_explainer("guided-backprop", Skip(rectified, skipped))(images, torch.tensor([0])).maps
    assert maps[0, 0].tolist() == [abs(max(rectified, 0) + skipped), abs(skipped)]


def test_a_network_without_rectifiers_has_nothing_to_guide() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(softcam.ConfigError) as error:
        explain(model)
    assert str(error.value) == "guided-backprop has nothing to guide: Sequential computes no ReLU; use saliency"


@pytest.mark.parametrize(
    "build", [Classifier, FunctionalClassifier, *(lambda w=way: Chain(w) for way in WAYS.values())]
)
def test_guiding_changes_no_logit(build: Callable[[], nn.Module]) -> None:
    model = seeded(build)
    expected = copy.deepcopy(model)(batch(2))
    guide = GuidedRectifiers()
    with guide:
        logits = model(batch(2))
    assert torch.equal(logits, expected)
    assert guide.met == 2
