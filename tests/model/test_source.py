from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.model.source import Source
from tests.model.networks import TinyNet, Volumes


class OneSize(TinyNet):
    """Takes images of one size only, as vision transformers do."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (256, 256), "wrong size"
        return super().forward(x)


def test_the_example_has_a_size_that_the_network_takes() -> None:
    assert Source.of(TinyNet(channels=5), None).example.shape == (1, 5, 224, 224)
    source = Source.of(OneSize(), None)
    assert source.example.shape == (1, 3, 256, 256)
    assert [images.shape[-1] for images in source.probes()] == [256, 256]
    assert Source.of(Volumes(), None).example.shape == (1, 1, 96, 96, 96)


def test_networks_are_compared_at_two_sizes() -> None:
    source = Source.of(TinyNet(), torch.zeros(4, 3, 40, 48))
    assert [tuple(images.shape) for images in source.probes()] == [(1, 3, 40, 48), (2, 3, 40, 48), (1, 3, 104, 112)]


def test_modes_and_dtypes_come_back() -> None:
    network = TinyNet().to(torch.float64).train()
    network.stem[1].eval()
    source = Source.of(network, None)
    assert not source.network.training
    assert source.network.fc.weight.dtype == torch.float32
    new = nn.Linear(2, 2)
    source.restore(source.network, new)
    assert source.network.training
    assert not source.network.stem[1].training
    assert source.network.fc.weight.dtype == new.weight.dtype == torch.float64
