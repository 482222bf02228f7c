from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import softcam
from softcam import ClassEvidence, Evidence, SoftCAM, Task
from softcam.errors import ConfigError
from softcam.model.evidence import combine_stages, evaluating
from tests.model.networks import TinyNet, randomize


@pytest.fixture
def model() -> SoftCAM:
    torch.manual_seed(0)
    return softcam.convert(randomize(TinyNet()).eval(), stages=("stem", "body"))


def evidence_of(maps: torch.Tensor, bias: torch.Tensor, task: Task = Task.MULTICLASS) -> Evidence:
    return Evidence(maps, maps.mean((2, 3)) + bias, bias, task)


def test_logits_are_the_means_of_the_maps(model: SoftCAM) -> None:
    images = torch.randn(4, 3, 32, 32)
    logits, maps = model(images, return_evidence=True)
    torch.testing.assert_close(maps.mean((2, 3)), logits)
    torch.testing.assert_close(model(images), logits)


def test_the_bias_is_split_off(model: SoftCAM) -> None:
    with torch.no_grad():
        model.evidence[0].classes.bias.fill_(0.5)
    images = torch.randn(2, 3, 32, 32)
    _, maps = model(images, return_evidence=True)
    evidence = model.explain(images)
    expected = model.evidence[0].classes.bias + model.evidence[1].classes.bias
    torch.testing.assert_close(evidence.bias, expected)
    torch.testing.assert_close(evidence.maps + expected.view(1, -1, 1, 1), maps)
    assert evidence.completeness_error() < 1e-5


def test_explain_ignores_dropout_and_leaves_the_mode(model: SoftCAM) -> None:
    model.train()
    model.backbone.eval()
    images = torch.randn(2, 3, 32, 32)
    first, second = model.explain(images), model.explain(images)
    assert torch.equal(first.maps, second.maps)
    assert not first.maps.requires_grad
    assert model.training
    assert model.evidence[1].training
    assert not model.backbone.training


def test_completeness_error_is_the_largest_deviation() -> None:
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, 0, 0, 0] = 4
    evidence = Evidence(maps, torch.tensor([[1.0, 0.25]]), torch.zeros(2), Task.MULTICLASS)
    assert evidence.completeness_error() == pytest.approx(0.25)


def test_contrast_of_two_classes_is_the_difference() -> None:
    maps = torch.randn(3, 2, 4, 4)
    contrast = evidence_of(maps, torch.zeros(2)).contrast()
    torch.testing.assert_close(contrast[:, 1], maps[:, 1] - maps[:, 0])
    torch.testing.assert_close(contrast[:, 0], maps[:, 0] - maps[:, 1])


def test_contrast_of_many_classes_does_not_see_a_common_map() -> None:
    maps, common = torch.randn(2, 5, 3, 3), torch.randn(2, 1, 3, 3)
    contrast = evidence_of(maps, torch.zeros(5)).contrast()
    torch.testing.assert_close(evidence_of(maps + common, torch.zeros(5)).contrast(), contrast)
    torch.testing.assert_close(contrast, maps - maps.mean(1, keepdim=True))


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTILABEL])
def test_contrast_of_sigmoid_outputs_is_the_map(task: Task) -> None:
    maps = torch.randn(2, 1 if task is Task.BINARY else 3, 3, 3)
    assert evidence_of(maps, torch.zeros(maps.shape[1]), task).contrast() is maps


def test_probabilities_follow_the_task() -> None:
    logits = torch.tensor([[0.0, 1.0]])
    assert Task.MULTICLASS.probabilities(logits).sum() == pytest.approx(1)
    assert Task.MULTILABEL.probabilities(logits)[0, 0] == pytest.approx(0.5)
    assert Task.infer(1) is Task.BINARY
    assert Task.infer(2) is Task.MULTICLASS


def test_upsampling_commutes_with_contrast() -> None:
    evidence = evidence_of(torch.randn(1, 3, 4, 5), torch.zeros(3))
    upsampled = evidence.upsample((16, 20))
    assert upsampled.maps.shape == (1, 3, 16, 20)
    expected = nn.functional.interpolate(evidence.contrast(), (16, 20), mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsampled.contrast(), expected)
    assert evidence.upsample(8).maps.shape == (1, 3, 8, 8)


def test_evidence_is_frozen() -> None:
    with pytest.raises(AttributeError):
        evidence_of(torch.randn(1, 2, 2, 2), torch.zeros(2)).maps = torch.zeros(1)  # type: ignore[misc]


def test_autocast_keeps_completeness(model: SoftCAM) -> None:
    images = torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits, maps = model(images, return_evidence=True)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps.mean((2, 3)), logits, rtol=1e-6, atol=1e-6)


def test_copied_pickled_compiled_exported_and_channels_last_models_say_the_same(model: SoftCAM) -> None:
    images = torch.randn(2, 3, 32, 48)
    expected = model(images)
    torch.testing.assert_close(copy.deepcopy(model)(images), expected)
    torch.testing.assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(images), expected)
    torch.testing.assert_close(pickle.loads(pickle.dumps(model))(images), expected)
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(images.contiguous(memory_format=torch.channels_last)), expected)


def test_exported_with_free_batch_and_size() -> None:
    model = softcam.convert(randomize(TinyNet()).eval())
    free = {0: torch.export.Dim("n", min=1, max=8), 2: torch.export.Dim("h", min=16), 3: torch.export.Dim("w", min=16)}
    shapes = {"images": free, "return_evidence": None}
    exported = torch.export.export(model, (torch.randn(2, 3, 32, 48), True), dynamic_shapes=shapes, strict=False)
    images = torch.randn(5, 3, 61, 40)
    for got, want in zip(exported.module()(images, True), model(images, True), strict=True):
        torch.testing.assert_close(got, want)


def test_the_state_dict_goes_into_a_model_made_the_same_way(model: SoftCAM) -> None:
    other = softcam.convert(TinyNet().eval(), stages=("stem", "body"))
    other.load_state_dict(model.state_dict())
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(other(images), model(images))


def test_ddp_averages_gradients_of_logits_and_maps(model: SoftCAM, tmp_path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(model)
        logits, maps = wrapped(torch.randn(2, 3, 32, 32), return_evidence=True)
        (logits.sum() + maps.abs().mean()).backward()
    finally:
        torch.distributed.destroy_process_group()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_built_directly_around_a_feature_extractor() -> None:
    backbone = nn.Conv2d(1, 4, 3, padding=1)
    model = SoftCAM(backbone, ClassEvidence(4, 1, bias=False))
    evidence = model.explain(torch.randn(2, 1, 6, 6))
    assert model.task is Task.BINARY
    assert torch.equal(evidence.bias, torch.zeros(1))
    assert model.map_size(9, 7) == (9, 7)
    assert model.report is None


def test_map_size_computes_nothing_and_changes_nothing(model: SoftCAM) -> None:
    model.train()
    before = copy.deepcopy(model.state_dict())
    assert model.map_size(30, 50) == (15, 25)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_images_that_are_too_small_are_refused_by_their_size() -> None:
    model = SoftCAM(nn.Sequential(nn.Conv2d(3, 4, 5), nn.Conv2d(4, 4, 5)), ClassEvidence(4, 2))
    assert model.map_size(9, 10) == (1, 2)
    with pytest.raises(softcam.ConfigError, match=r"images of 8×10 px are too small for this network .*; enlarge them"):
        model.map_size(8, 10)


def test_combining_stages_keeps_the_sum_of_their_means() -> None:
    maps = [torch.randn(2, 3, 7, 5), torch.randn(2, 3, 4, 3), torch.randn(2, 3, 2, 2)]
    combined = combine_stages(maps)
    assert combined.shape == (2, 3, 7, 5)
    torch.testing.assert_close(combined.mean((2, 3)), sum(m.mean((2, 3)) for m in maps))


def test_evaluating_puts_modes_back_after_an_error() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with pytest.raises(RuntimeError), evaluating(module):
        assert not module.training
        raise RuntimeError
    assert [m.training for m in module.modules()] == [True, True, False]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.floats(1, 4), st.booleans(), st.floats(0.1, 10))
def test_a_power_raises_the_answers_and_not_the_bias(dims: int, power: float, bias: bool, factor: float) -> None:
    torch.manual_seed(0)
    layer = ClassEvidence(3, 2, bias=bias, dims=dims, power=power).double()
    linear = ClassEvidence(3, 2, bias=False, dims=dims).double()
    linear.classes.weight = layer.classes.weight
    features = torch.randn(2, 3, *[4] * dims, dtype=torch.float64)
    answers = linear(features)
    offset = layer.classes.bias.view(1, -1, *[1] * dims) if bias else 0
    expected = answers.sign() * answers.abs() ** power + offset
    torch.testing.assert_close(layer(features), expected)
    layer.scale_(factor)
    torch.testing.assert_close(layer(features), factor * expected)


def test_a_power_below_one_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"power is 0\.5"):
        ClassEvidence(3, 2, power=0.5)


def test_a_power_makes_a_new_layer() -> None:
    model = softcam.convert(torchvision.models.resnet18(num_classes=2), power=2)
    assert model.report is not None
    assert "raised to the power 2; train it" in model.report.reason
    assert model.explain(torch.rand(2, 3, 64, 64)).completeness_error() < 1e-5
