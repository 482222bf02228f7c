from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

import softcam
from softcam.model.split import split_network
from tests.model import networks
from tests.model.networks import randomize


@pytest.mark.parametrize("kind", [networks.TinyNet, networks.Hidden, networks.WindowHead, networks.FullyConvolutional])
def test_the_parts_give_the_logits_of_the_whole(kind: type[nn.Module]) -> None:
    source = randomize(kind()).train()
    backbone, head = split_network(source)
    assert source.training
    source.eval()
    images = torch.randn(2, 3, 48, 56)
    with torch.no_grad():
        features = backbone(images)
        torch.testing.assert_close(head(features), source(images))
    assert features.shape[2:] == (12, 14)


def test_the_parts_share_the_weights() -> None:
    source = networks.TinyNet().double()
    backbone, head = split_network(nn.DataParallel(source))
    own = {id(parameter) for parameter in source.parameters()}
    assert {id(parameter) for part in (backbone, head) for parameter in part.parameters()} == own


def test_a_head_on_a_class_token_is_no_function_of_a_map() -> None:
    network = torchvision.models.VisionTransformer(64, 16, 2, 2, 16, 32, num_classes=5)
    with pytest.raises(softcam.ConversionError, match="its head reads a token of no place"):
        split_network(network, torch.randn(1, 3, 64, 64))
