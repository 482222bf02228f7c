from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings, strategies as st

import softcam
from softcam.errors import ConfigError
from softcam.model.fusion import TopDownFusion

sizes = st.integers(1, 9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), sizes, sizes), min_size=1, max_size=4), st.integers(1, 4))
def test_the_result_has_the_size_of_the_first_stage(stages: list[tuple[int, int, int]], width: int) -> None:
    fusion = TopDownFusion([depth for depth, _, _ in stages], width).eval()
    fused = fusion([torch.rand(2, *stage) for stage in stages])
    assert fused.shape == (2, width, *stages[0][1:])
    assert (fused >= 0).all()


def test_two_stages_are_the_product_of_the_fine_and_the_enlarged_coarse_one() -> None:
    fusion = TopDownFusion((3, 5), 4).eval()
    fine, coarse = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)
    side, top = F.relu(fusion.lateral[0](fine)), F.relu(fusion.lateral[1](coarse))
    expected = side * F.interpolate(top, (8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(fusion((fine, coarse)), expected)


def test_volumes() -> None:
    fusion = TopDownFusion((2, 3, 4), 5, dims=3)
    stages = torch.rand(2, 2, 8, 8, 8), torch.rand(2, 3, 4, 4, 4), torch.rand(2, 4, 2, 2, 2)
    assert fusion(stages).shape == (2, 5, 8, 8, 8)


def test_no_channels_are_an_error() -> None:
    with pytest.raises(ConfigError, match="the fusion of the stages has 0 channels"):
        TopDownFusion((3,), 0)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "vgg11", "mobilenet_v2"])
def test_a_fused_network_is_complete_and_fine(name: str) -> None:
    model = softcam.convert(torchvision.models.get_model(name, num_classes=3), 2, stages=8, fusion=8, power=2)
    evidence = model.explain(torch.rand(2, 3, 66, 64))
    assert model.map_size(66, 64) == (33, 32)
    assert evidence.maps.shape == (2, 2, 33, 32)
    assert evidence.completeness_error() < 1e-5


def test_a_number_of_stages_is_the_coarsest_stride() -> None:
    network = torchvision.models.resnet18(num_classes=2)
    named = softcam.convert(network, stages=("relu", "layer1", "layer2"), fusion=8)
    numbered = softcam.convert(network, stages=8, fusion=8)
    assert numbered.report is not None
    assert numbered.report.stages == ("relu", "layer1.1", "layer2.1")
    assert not hasattr(numbered.backbone, "layer3")
    numbered.fusion.load_state_dict(named.fusion.state_dict())
    numbered.evidence.load_state_dict(named.evidence.state_dict())
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(numbered(images), named(images))


def test_the_stages_of_a_pyramid_keep_the_logits() -> None:
    network = torchvision.models.resnet18(num_classes=2).eval()
    model = softcam.convert(network, stages=32)
    images = torch.rand(2, 3, 64, 64)
    assert model.report is not None
    assert model.report.exact
    torch.testing.assert_close(model(images), network(images), rtol=1e-4, atol=1e-5)


def test_a_stride_that_no_feature_map_has_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no feature map has a stride of 2 to 1 \(stages\); there are 2, 4"):
        softcam.convert(torchvision.models.resnet18(), stages=1)


def test_new_layers_take_mode_and_dtype_of_the_network() -> None:
    network = torchvision.models.resnet18(num_classes=2).double().train()
    model = softcam.convert(network, stages=4, fusion=8)
    assert model.fusion is not None
    assert all(module.training for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}


def test_gradients_reach_every_weight() -> None:
    model = softcam.convert(torchvision.models.resnet18(num_classes=2), stages=8, fusion=8, power=2).train()
    model(torch.rand(4, 3, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
