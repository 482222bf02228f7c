"""Small classifiers, one for each way in which a network can be awkward to explain."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import softcam
from tests.model.networks import randomize


class Classifier(nn.Module):
    """Two convolutions with norms, in-place ReLUs and a stride, global average pooling, a linear layer."""

    def __init__(self, num_classes: int = 3, in_channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(in_channels, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        )
        self.second = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.pool(self.second(self.first(images))).flatten(1))


class FunctionalClassifier(nn.Module):
    """As DenseNet: the last feature map is what a functional ReLU gives, and belongs to no module."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        )
        self.fc = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(F.relu(self.features(images), inplace=True).mean((2, 3)))


class WindowClassifier(nn.Module):
    """As VGG: linear layers with a ReLU and dropout between them on a flattened window."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(nn.Linear(32, 10), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(10, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(images)).flatten(1))


class LinearClassifier(nn.Module):
    """Logits that are linear in the pixels: for it every method has a closed form."""

    def __init__(self, channels: int = 3, height: int = 16, width: int = 16, num_classes: int = 3) -> None:
        super().__init__()
        self.classes = nn.Linear(channels * height * width, num_classes)
        self.shape = (num_classes, channels, height, width)

    @property
    def kernels(self) -> Tensor:
        """The weight ``(K, C, H, W)`` of every pixel."""
        return self.classes.weight.detach().view(self.shape)

    def forward(self, images: Tensor) -> Tensor:
        return self.classes(images.flatten(1))


def seeded(build: Callable[[], nn.Module], seed: int = 1) -> nn.Module:
    """Return the network with weights and norm statistics that are all non-trivial, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return randomize(build()).eval()


def stages() -> softcam.SoftCAM:
    """Return a SoftCAM with evidence on two stages, neither of them zero."""
    model = softcam.convert(seeded(Classifier), stages=("first", "second"), example=batch(1))
    with torch.random.fork_rng():
        torch.manual_seed(2)
        for layer in model.evidence:
            nn.init.normal_(layer.classes.weight, std=0.3)
            nn.init.normal_(layer.classes.bias)
    return model


def fusion() -> softcam.SoftCAM:
    """Return a SoftCAM with one evidence layer on a fusion of two stages."""
    source = seeded(Classifier)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return softcam.convert(source, stages=("first", "second"), fusion=8, example=batch(1)).eval()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "black box": lambda: seeded(Classifier),
    "one logit": lambda: seeded(lambda: Classifier(num_classes=1)),
    "functional": lambda: seeded(FunctionalClassifier),
    "window": lambda: seeded(WindowClassifier),
    "converted": lambda: softcam.convert(seeded(Classifier), example=batch(1)),
    "stages": stages,
    "fusion": fusion,
}


def batch(count: int = 4, size: tuple[int, int] = (16, 16), channels: int = 3, seed: int = 0) -> Tensor:
    """Return random images ``(count, channels, *size)``."""
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(seed))
