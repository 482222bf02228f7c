from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from torch import nn

import softcam
from tests.model import networks
from tests.model.networks import randomize

GAP_FAMILIES = [
    "resnet18",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mobilenet_v2",
    "regnet_y_400mf",
    "regnet_x_400mf",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
]
POINTWISE_FAMILIES = ["vgg11", "alexnet", "mobilenet_v3_small", "convnext_tiny"]

IMAGE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def build(name: str) -> nn.Module:
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return randomize(torchvision.models.get_model(name, weights=None, num_classes=5, **options)).eval()


@pytest.mark.parametrize("name", GAP_FAMILIES)
def test_logits_of_torchvision_families_are_unchanged(name: str) -> None:
    source = build(name)
    model = softcam.convert(source)
    images = torch.randn(2, 3, 160, 192)
    with torch.no_grad():
        logits, maps = model(images, return_evidence=True)
        expected = source(images)
    assert model.report.exact
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(maps.mean((2, 3)), logits)
    assert maps.shape[2] * maps.shape[3] > 1


@pytest.mark.parametrize("name", POINTWISE_FAMILIES)
def test_heads_that_are_not_linear_are_applied_at_each_place(name: str) -> None:
    source = build(name)
    model = softcam.convert(source)
    assert not model.report.exact
    assert "fine-tune" in model.report.reason
    images = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        logits, maps = model(images, return_evidence=True)
    assert maps.shape[:2] == (1, 5)
    torch.testing.assert_close(maps.mean((2, 3)), logits)


def test_vgg_stack_agrees_with_the_linear_layers_where_the_features_are_constant() -> None:
    source = build("vgg11")
    model = softcam.convert(source)
    features = torch.randn(2, 512, 1, 1).expand(-1, -1, 7, 7)
    with torch.no_grad():
        maps = model.evidence[0](features)
        expected = source.classifier(source.avgpool(features).flatten(1))
    torch.testing.assert_close(maps.mean((2, 3)), expected, rtol=1e-3, atol=1e-3)
    widths = [m.out_channels for m in model.evidence[0].modules() if isinstance(m, nn.Conv2d)]
    assert widths == [4096, 4096, 5]


@pytest.mark.parametrize(
    "kind",
    [
        networks.TinyNet,
        networks.FunctionalEnd,
        networks.NormAfterPool,
        networks.TwoLinears,
        networks.FullyConvolutional,
    ],
)
def test_heads_affine_in_the_mean_are_exact_whatever_they_are_made_of(kind: type[nn.Module]) -> None:
    source = randomize(kind()).eval()
    model = softcam.convert(source)
    images = torch.randn(3, 3, 40, 56)
    assert model.report.exact
    with torch.no_grad():
        torch.testing.assert_close(model(images), source(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [networks.Hidden, networks.WindowHead])
def test_hidden_layers_are_kept(kind: type[nn.Module]) -> None:
    source = randomize(kind()).eval()
    model = softcam.convert(source)
    assert not model.report.exact
    assert model.report.max_difference > 1e-4
    constant = torch.randn(2, 12, 1, 1).expand(-1, -1, 4, 4)
    with torch.no_grad():
        expected = source.head(source.pool(constant).flatten(1))
        torch.testing.assert_close(model.evidence[0](constant).mean((2, 3)), expected)


@given(
    classes=st.integers(1, 5),
    channels=st.integers(1, 5),
    height=st.integers(9, 48),
    width=st.integers(9, 48),
    seed=st.integers(0, 100),
)
@settings(max_examples=20, deadline=None)
def test_any_size_channels_and_classes_are_exact_and_complete(
    classes: int, channels: int, height: int, width: int, seed: int
) -> None:
    source = randomize(networks.TinyNet(classes, channels), seed).eval()
    stages = ("stem", "body") if seed % 2 else None
    model = softcam.convert(source, stages=stages)
    images = torch.randn(2, channels, height, width)
    with torch.no_grad():
        torch.testing.assert_close(model(images), source(images), rtol=1e-4, atol=1e-5)
    evidence = model.explain(images)
    assert evidence.completeness_error() < 1e-4
    assert evidence.maps.shape[2:] == model.map_size(height, width)


def test_dropout_of_the_head_becomes_dropout_of_whole_channels() -> None:
    model = softcam.convert(networks.TinyNet(dropout=0.25))
    assert isinstance(model.evidence[0].dropout, nn.Dropout2d)
    assert model.evidence[0].dropout.p == pytest.approx(0.25)


def test_volumes_give_volumes_of_evidence() -> None:
    source = randomize(networks.Volumes()).eval()
    model = softcam.convert(source)
    images = torch.randn(2, 1, 8, 12, 16)
    evidence = model.explain(images)
    assert model.report.exact
    assert evidence.maps.shape == (2, 2, 4, 6, 8)
    assert evidence.completeness_error() < 1e-5


def test_the_source_is_not_touched() -> None:
    source = networks.TinyNet().train()
    source.stem[1].eval()
    state = copy.deepcopy(source.state_dict())
    modes = [module.training for module in source.modules()]
    softcam.convert(source)
    assert [module.training for module in source.modules()] == modes
    for name, value in source.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_modes_dtype_and_frozen_weights_carry_over() -> None:
    source = networks.TinyNet().train().to(torch.bfloat16)
    source.stem[1].eval()
    source.stem[0].weight.requires_grad_(False)
    model = softcam.convert(source)
    assert model.training
    assert model.evidence[0].training
    assert not model.backbone.stem.get_submodule("1").training
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not model.backbone.stem.get_submodule("0").weight.requires_grad
    assert model(torch.randn(2, 3, 32, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_float64_networks_stay_float64() -> None:
    source = randomize(networks.TinyNet()).double().eval()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(softcam.convert(source)(images), source(images), rtol=1e-6, atol=1e-6)


def test_another_number_of_classes_makes_a_new_layer() -> None:
    model = softcam.convert(build("resnet18"), num_classes=2)
    assert model.num_classes == 2
    assert not model.report.exact
    assert str(model.report) == (
        "not exact; head: AdaptiveAvgPool2d → flatten → Linear(512, 5); evidence on layer4; "
        "the evidence layer is new: 2 classes instead of 5; train it"
    )


def test_a_new_layer_on_squeezenet_reads_features_and_not_class_scores() -> None:
    model = softcam.convert(build("squeezenet1_1"), num_classes=2)
    assert model.evidence[0].classes.in_channels == 512


def test_stages_start_with_the_same_logits_and_sum_at_the_finest() -> None:
    source = build("resnet18")
    model = softcam.convert(source, stages=("layer4", "layer2", "layer3"))
    images = torch.randn(2, 3, 100, 130)
    with torch.no_grad():
        torch.testing.assert_close(model(images), source(images), rtol=1e-4, atol=1e-4)
        for layer in model.evidence:
            nn.init.normal_(layer.classes.weight)
        logits, maps = model(images, return_evidence=True)
        per_stage = model.stage_maps(images)
    assert model.report.stages == ("layer2", "layer3", "layer4")
    assert maps.shape[2:] == per_stage[0].shape[2:] == (13, 17)
    torch.testing.assert_close(sum(stage.mean((2, 3)) for stage in per_stage), logits, rtol=1e-4, atol=1e-4)


def test_layers_after_the_last_stage_are_dropped() -> None:
    model = softcam.convert(build("resnet18"), stages=("layer2",))
    assert not any("layer3" in name or "layer4" in name for name, _ in model.named_parameters())
    assert "not the last stage" in model.report.reason


def test_stages_inside_a_container_are_found() -> None:
    model = softcam.convert(build("mobilenet_v2"), stages=("features.6", "features.18"))
    assert model.report.exact
    assert model.map_size(96, 96) == (12, 12)


def test_an_unknown_stage_is_an_error_that_names_the_choices() -> None:
    with pytest.raises(softcam.ConfigError, match=r"no feature map comes from 'layer9'; choose from .*layer1"):
        softcam.convert(build("resnet18"), stages=("layer9",))


@pytest.mark.parametrize("stages", [(), ("layer2", "layer2")])
def test_stages_must_be_different_modules(stages: tuple[str, ...]) -> None:
    with pytest.raises(softcam.ConfigError, match="name one or more different modules"):
        softcam.convert(build("resnet18"), stages=stages)


def test_number_of_classes_is_checked() -> None:
    with pytest.raises(softcam.ConfigError, match="num_classes is 0"):
        softcam.convert(networks.TinyNet(), num_classes=0)


def test_compiled_and_parallel_wrappers_are_taken_off() -> None:
    source = randomize(networks.TinyNet()).eval()
    images = torch.randn(1, 3, 32, 32)
    for wrapped in (nn.DataParallel(source), torch.compile(source, backend="eager")):
        torch.testing.assert_close(softcam.convert(wrapped)(images), source(images), rtol=1e-5, atol=1e-5)


def test_a_custom_example_gives_channels_and_size() -> None:
    source = randomize(networks.TinyNet(channels=7)).eval()
    model = softcam.convert(source, example=torch.randn(4, 7, 20, 24))
    assert model.report.exact


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (networks.MaxPooled(), r"after its last feature map \(body\) comes amax → Linear\(12, 3\), and amax cannot"),
        (networks.BranchesOnValues(), "cannot trace its forward method"),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), "it has no convolution"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(10, 3)), "pass convert.*example="),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3, 64), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
            "AdaptiveMaxPool2d",
        ),
    ],
)
def test_a_network_that_cannot_be_converted_says_what_ends_it(network: nn.Module, message: str) -> None:
    with pytest.raises(softcam.ConversionError, match=message):
        softcam.convert(network)


def test_the_head_of_a_class_token_is_applied_to_the_tokens_of_the_image() -> None:
    model = softcam.convert(torchvision.models.VisionTransformer(64, 16, 2, 2, 16, 32, num_classes=5), example=IMAGE)
    assert not model.report.exact
    assert model.report.reason == (
        "the head read a token of no place; it is applied to those of the image: fine-tune the network"
    )
    assert model.explain(torch.randn(1, 3, 64, 64)).maps.shape == (1, 5, 4, 4)


def test_a_softcam_is_not_converted_twice() -> None:
    with pytest.raises(softcam.ConversionError, match="already"):
        softcam.convert(softcam.convert(networks.TinyNet()))
