from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

import softcam
from softcam.errors import ConfigError, ConversionError


def test_dilation_agrees_with_torchvisions() -> None:
    torch.manual_seed(0)
    strided = torchvision.models.resnet50(num_classes=3).eval()
    dilated = torchvision.models.resnet50(num_classes=3, replace_stride_with_dilation=[False, True, True]).eval()
    dilated.load_state_dict(strided.state_dict())
    model = softcam.convert(strided, output_stride=8)
    images = torch.randn(2, 3, 96, 80)
    assert model.map_size(96, 80) == (12, 10)
    torch.testing.assert_close(model(images), dilated(images), rtol=1e-4, atol=1e-4)


def test_a_constant_image_far_from_the_borders_has_the_same_features() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(4, 5, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 2),
    )
    images = torch.rand(1, 1, 64, 64)
    _, coarse = softcam.convert(network)(images, return_evidence=True)
    _, fine = softcam.convert(network, output_stride=2)(images, return_evidence=True)
    assert coarse.shape[2:] == (8, 8)
    assert fine.shape[2:] == (32, 32)
    torch.testing.assert_close(fine[..., 8:-8:4, 8:-8:4], coarse[..., 2:-2, 2:-2])


def test_the_source_keeps_its_strides_and_the_report_says_what_changed() -> None:
    network = torchvision.models.resnet18(num_classes=2)
    model = softcam.convert(network, output_stride=16)
    assert network.layer4[0].conv1.stride == (2, 2)
    assert model.report is not None
    assert not model.report.exact
    assert model.report.max_difference > 0
    assert "strides beyond 16 became dilations" in model.report.reason


def test_completeness_holds_with_dilation() -> None:
    model = softcam.convert(torchvision.models.mobilenet_v2(num_classes=2), output_stride=16)
    assert model.explain(torch.rand(2, 3, 64, 96)).completeness_error() < 1e-5


def test_volumes_are_dilated_too() -> None:
    network = nn.Sequential(
        nn.Conv3d(1, 2, 3, stride=2, padding=1),
        nn.Conv3d(2, 3, 3, stride=2, padding=1),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(3, 2),
    )
    model = softcam.convert(network, output_stride=2, example=torch.rand(1, 1, 16, 16, 16))
    assert model.map_size(16, 16, 16) == (8, 8, 8)


@pytest.mark.parametrize(
    ("name", "message"),
    [("vgg11", "its kernel of 2×2 has no centre"), ("densenet121", "something other than strided convolutions")],
)
def test_what_cannot_be_dilated_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        softcam.convert(torchvision.models.get_model(name, num_classes=2), output_stride=16)


@pytest.mark.parametrize(("stride", "message"), [(0, "at least 1"), (64, "no stride of this network goes beyond it")])
def test_output_strides_that_make_no_sense(stride: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        softcam.convert(torchvision.models.resnet18(num_classes=2), output_stride=stride)
