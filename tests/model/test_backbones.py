from __future__ import annotations

import pytest
import torch
from torch import nn

import softcam
from softcam.model import backbones
from softcam.model.backbones import build_backbone


def test_grey_images_give_what_they_would_give_as_rgb(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = build_backbone("resnet18", num_classes=4).eval()
    monkeypatch.setattr(backbones, "_imagenet_weights", lambda name: colour.state_dict())
    grey = build_backbone("resnet18", num_classes=4, in_channels=1, pretrained=True).eval()
    images = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_pretrained_weights_are_loaded_but_for_the_last_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    donor = build_backbone("resnet18", num_classes=1000)
    monkeypatch.setattr(backbones, "_imagenet_weights", lambda name: donor.state_dict())
    network = build_backbone("resnet18", num_classes=3, pretrained=True)
    assert torch.equal(network.layer4[1].conv2.weight, donor.layer4[1].conv2.weight)
    assert network.fc.weight.shape == (3, 512)


def test_weights_that_cannot_be_downloaded_say_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(softcam.ConfigError, match=r"cannot be downloaded \(no route to host\); put the file into"):
        build_backbone("resnet18", num_classes=2, pretrained=True)


@pytest.mark.parametrize("channels", [1, 5])
def test_the_first_convolution_takes_any_number_of_channels(channels: int) -> None:
    network = build_backbone("densenet121", num_classes=2, in_channels=channels)
    assert next(m for m in network.modules() if isinstance(m, nn.Conv2d)).in_channels == channels


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_no_auxiliary_outputs_in_training(name: str) -> None:
    network = build_backbone(name, num_classes=2).train()
    assert network(torch.randn(2, 3, 96, 96)).shape == (2, 2)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(softcam.ConfigError, match="'resnet17' is not a torchvision classifier"):
        build_backbone("resnet17", num_classes=2)


def test_timm_networks_are_built_and_converted() -> None:
    pytest.importorskip("timm")
    network = build_backbone("timm/resnet10t", num_classes=2, in_channels=1)
    assert softcam.convert(network).report.exact
    with pytest.raises(softcam.ConfigError, match="is not a timm model"):
        build_backbone("timm/nothing", num_classes=2)
