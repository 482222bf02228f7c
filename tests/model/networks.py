"""Small classifiers with every kind of ending, with weights that leave nothing exact by accident."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def randomize(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give norms and biases values that matter: at their initial 0 and 1 much is equal by accident."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
            elif isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d)) and module.bias is not None:
                module.bias.normal_(0, 0.2, generator=generator)
    return network


class TinyNet(nn.Module):
    """Two strided convolutions, global average pooling, dropout, linear."""

    def __init__(self, num_classes: int = 3, channels: int = 3, dropout: float = 0.25) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(12, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(torch.flatten(self.pool(self.body(self.stem(x))), 1)))


class FunctionalEnd(TinyNet):
    """The same with functions in place of modules, dropout among them."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.body(self.stem(x)))
        x = F.dropout(x.mean([2, 3]), 0.4, self.training)
        return self.fc(x)


class NormAfterPool(TinyNet):
    """Batch normalisation on the pooled vector: affine, so it folds into the evidence layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.pool(self.body(self.stem(x))).flatten(1)))


class TwoLinears(TinyNet):
    """Two linear layers without anything between: still affine."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 7)
        self.fc = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.first(self.pool(self.body(self.stem(x))).flatten(1)))


class Hidden(TinyNet):
    """A non-linear head, with a norm on vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 6), nn.GELU(), nn.Dropout(0.1), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.body(self.stem(x))).flatten(1))


class WindowHead(TinyNet):
    """VGG's way: pooled to a 2×2 window, flattened, linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Sequential(nn.Linear(48, 10), nn.ReLU(), nn.Linear(10, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.body(self.stem(x))).flatten(1))


class MaxPooled(TinyNet):
    """Max pooling does not commute with anything."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.amax(self.body(self.stem(x)), dim=(2, 3)))


class BranchesOnValues(TinyNet):
    """Control flow that no tracing can follow."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.mean() > 0 else -x)


class FullyConvolutional(TinyNet):
    """Ends in a 1×1 convolution and pooling: a SoftCAM already, but for its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(12, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.fc(self.body(self.stem(x)))).flatten(1)


class Volumes(nn.Module):
    """A 3D classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(1, 6, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean((2, 3, 4)))
