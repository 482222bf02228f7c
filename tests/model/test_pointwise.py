from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import softcam
from tests.model.networks import TinyNet, randomize


class ConvolutionAfterPooling(TinyNet):
    """GhostNet's way: more channels and an activation behind the pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(12, 20, 1), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.body(self.stem(x))))


class Branching(TinyNet):
    """Two ways from the pooled vector to the last linear layer: no chain."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.fc = nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(self.body(self.stem(x))).flatten(1)
        return self.fc(pooled * torch.sigmoid(self.gate(pooled)))


class ChannelsLast(TinyNet):
    """Pools a map with its channels last, and normalises what it pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.body(self.stem(x)).permute(0, 2, 3, 1).mean((1, 2))))


class MeanAndMaximum(TinyNet):
    """timm's catavgmax."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = self.body(self.stem(x))
        return self.fc(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1))


class NonLinearEnd(TinyNet):
    """Ends in something that no linear layer gives."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(super().forward(x))


@pytest.mark.parametrize("kind", [ConvolutionAfterPooling, Branching, ChannelsLast])
def test_heads_on_the_mean_are_applied_at_each_place(kind: type[nn.Module]) -> None:
    source = randomize(kind()).eval()
    model = softcam.convert(source, example=torch.randn(1, 3, 64, 64))
    assert not model.report.exact
    assert model.report.reason == (
        "the head is not linear, so it is applied at each place before pooling; fine-tune the network"
    )
    images = torch.randn(2, 3, 48, 56)
    with torch.no_grad():
        logits, maps = model(images, return_evidence=True)
        one_cell = nn.functional.adaptive_avg_pool2d(source.body(source.stem(images)), 1)
        torch.testing.assert_close(maps.mean((2, 3)), logits)
        source.body, source.stem = nn.Identity(), nn.Identity()
        torch.testing.assert_close(model.evidence[0](one_cell).flatten(1), source(one_cell), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [ConvolutionAfterPooling, Branching, ChannelsLast])
def test_another_number_of_classes_keeps_the_hidden_layers(kind: type[nn.Module]) -> None:
    model = softcam.convert(kind(), num_classes=5, example=torch.randn(1, 3, 64, 64))
    assert model(torch.randn(2, 3, 48, 48)).shape == (2, 5)
    model(torch.randn(2, 3, 48, 48)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.evidence.parameters())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            MeanAndMaximum,
            r"after its last feature map \(body\) comes mean → amax → cat → Linear\(24, 3\), and amax cannot",
        ),
        (NonLinearEnd, r"and tanh cannot be applied at each place alone"),
    ],
)
def test_what_is_no_function_of_the_mean_is_refused(kind: type[nn.Module], message: str) -> None:
    with pytest.raises(softcam.ConversionError, match=message):
        softcam.convert(randomize(kind()).eval(), example=torch.randn(1, 3, 64, 64))
