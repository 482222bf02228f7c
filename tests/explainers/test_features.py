from __future__ import annotations

import copy

import pytest
import torch
import torchvision

import softcam
from softcam.explainers.features import split_at_features
from tests.explainers.networks import NETWORKS, batch, seeded
from tests.model.networks import BranchesOnValues, MaxPooled


@pytest.mark.parametrize("network", NETWORKS)
def test_backbone_and_head_are_the_network(network: str) -> None:
    model = NETWORKS[network]()
    names = [name for name, _ in model.named_modules()]
    split = split_at_features(model, batch(1))
    features = split.features(batch(3))
    torch.testing.assert_close(split.head(features), model(batch(3)))
    assert features[-1].shape[1] == 8
    assert not features[-1].requires_grad
    assert [name for name, _ in model.named_modules()] == names


@pytest.mark.parametrize(("name", "channels"), [("densenet121", 1024), ("mobilenet_v3_small", 576)])
def test_torchvision_networks_are_cut_where_evidence_would_go(name: str, channels: int) -> None:
    model = seeded(lambda: torchvision.models.get_model(name, num_classes=4))
    split = split_at_features(model)
    images = batch(1, (96, 64))
    with torch.no_grad():
        features = split.features(images)
        torch.testing.assert_close(split.head(features), model(images), rtol=1e-4, atol=1e-4)
    assert features[-1].shape[1] == channels
    assert features[-1].dim() == 4


def test_the_weights_are_those_of_the_network_now_not_a_copy() -> None:
    model = NETWORKS["window"]()
    split = split_at_features(model, batch(1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    torch.testing.assert_close(split.head(split.features(batch(2))), model(batch(2)))
    copied = split_at_features(copy.deepcopy(model), batch(1))
    torch.testing.assert_close(copied.head(copied.features(batch(2))), model(batch(2)))


@pytest.mark.parametrize("network", [MaxPooled, BranchesOnValues])
def test_what_cannot_be_converted_has_no_last_feature_map(network: type[torch.nn.Module]) -> None:
    with pytest.raises(softcam.ConversionError, match=f"cannot convert {network.__name__}"):
        split_at_features(network(), batch(1))
