from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import softcam
from softcam.explainers import METHODS, Explainer, Sign, build_explainer, explainer_names
from softcam.explainers.perturbation import RISE
from tests.explainers.networks import NETWORKS, WindowClassifier, batch

NEEDS_EVIDENCE = {"softcam", "softcam-raw", "cam"}
PAIRS = [
    (method, network)
    for method in METHODS
    for network in NETWORKS
    if method not in NEEDS_EVIDENCE or network != "window"
]
every_pair = pytest.mark.parametrize(("method", "network"), PAIRS)


def build(method: str, model: nn.Module, seed: int = 0) -> Explainer:
    explainer = build_explainer(method, model, seed=seed, example=batch(1))
    if isinstance(explainer, RISE):
        explainer.masks = 40
    return explainer


def classes_for(model: nn.Module, count: int) -> torch.Tensor:
    with torch.no_grad():
        outputs = model(batch(2)).shape[1]
    return torch.arange(count) % outputs


@every_pair
def test_a_batch_is_explained_as_its_images_alone_are(method: str, network: str) -> None:
    model = NETWORKS[network]()
    images, classes = batch(4), classes_for(model, 4)
    explainer = build(method, model)
    together = explainer(images, classes)
    alone = [explainer(images[i : i + 1], classes[i : i + 1]) for i in range(4)]
    assert together.maps.shape == (4, 16, 16)
    assert together.maps.dtype == torch.float32
    scale = float(together.maps.abs().max())
    assert scale > 0
    torch.testing.assert_close(together.maps, torch.cat([one.maps for one in alone]), rtol=1e-4, atol=1e-4 * scale)
    assert {(one.map_size, one.forward_passes) for one in alone} == {(together.map_size, together.forward_passes)}
    if METHODS[method].sign is Sign.UNSIGNED:
        assert together.maps.min() >= 0


@every_pair
def test_the_model_is_left_exactly_as_it_was(method: str, network: str) -> None:
    model = NETWORKS[network]()
    images, classes = batch(2), classes_for(model, 2)
    untidy(model)
    before, random_state = snapshot(model), torch.get_rng_state()
    build(method, model)(images, classes)
    assert_unchanged(model, before)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(images, batch(2))


def untidy(model: nn.Module) -> None:
    """Put a model into a state that is easily lost: mixed modes, frozen weights, gradients, a hook."""
    model.train()
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d)).eval()
    first.weight.requires_grad_(False)
    last = list(model.parameters())[-1]
    last.grad = torch.full_like(last, 7)
    first.register_forward_hook(lambda module, inputs, output: None)


def snapshot(model: nn.Module) -> dict[str, object]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "modes": {name: module.training for name, module in model.named_modules()},
        "hooks": {(name, kind): dict(getattr(m, kind)) for name, m in model.named_modules() for kind in hooks},
        "required": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "gradients": {name: (p.grad, copy.deepcopy(p.grad)) for name, p in model.named_parameters()},
        "state": copy.deepcopy(model.state_dict()),
    }


def assert_unchanged(model: nn.Module, before: dict[str, object]) -> None:
    after = snapshot(model)
    assert {key: after[key] for key in ("modes", "hooks", "required")} == {
        key: before[key] for key in ("modes", "hooks", "required")
    }
    for name, parameter in model.named_parameters():
        gradient, value = before["gradients"][name]  # type: ignore[index]
        assert parameter.grad is gradient
        assert value is None or torch.equal(parameter.grad, value)
    for name, value in before["state"].items():  # type: ignore[attr-defined]
        assert torch.equal(model.state_dict()[name], value), name


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_what_is_random(method: str) -> None:
    model, images, classes = NETWORKS["black box"](), batch(2), torch.tensor([0, 2])
    first, again, other = (build(method, model, seed)(images, classes).maps for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (method not in {"random", "rise", "smoothgrad"})


@pytest.mark.parametrize("method", METHODS)
def test_images_need_not_be_square_nor_gradients_on(method: str) -> None:
    model, images, classes = NETWORKS["black box"](), batch(2, (20, 13)), torch.tensor([0, 2])
    with torch.inference_mode():
        inside = build(method, model)(images * 1.0, classes)
    outside = build(method, model)(images, classes)
    assert inside.maps.shape == (2, 20, 13)
    assert torch.equal(inside.maps, outside.maps)


@pytest.mark.parametrize("method", METHODS)
def test_the_stated_passes_are_those_counted(method: str) -> None:
    model = NETWORKS["black box"]()
    counted = build_explainer(method, model, example=batch(1))(batch(1), torch.tensor([0])).forward_passes
    stated = METHODS[method].passes
    assert eval(stated, {"channels": 8, "squares": 15**2}) == counted


@pytest.mark.parametrize("method", [name for name in METHODS if name not in {"random", "uniform"}])
def test_what_the_batch_must_be(method: str) -> None:
    explainer = build(method, NETWORKS["black box"]())
    with pytest.raises(softcam.ConfigError, match=r"there is no class 3: the model has 3 outputs, counted from 0"):
        explainer(batch(2), torch.tensor([0, 3]))
    with pytest.raises(softcam.ConfigError, match=r"there is no class -1"):
        explainer(batch(2), torch.tensor([0, -1]))
    with pytest.raises(
        softcam.ConfigError, match=r"one class index for each of the 2 images, got torch.int64 of shape"
    ):
        explainer(batch(2), torch.tensor([0]))
    with pytest.raises(softcam.ConfigError, match=r"images \(N, C, H, W\) with N of at least 1, got \(0, 3, 8, 8\)"):
        explainer(torch.zeros(0, 3, 8, 8), torch.zeros(0, dtype=torch.int64))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(softcam.ConfigError) as error:
        build_explainer("gradcamm", NETWORKS["black box"]())
    assert str(error.value) == (
        "there is no explainer 'gradcamm'; choose from softcam, softcam-raw, cam, gradcam, gradcam++, layercam, "
        "scorecam, guided-backprop, saliency, integrated-gradients, integrated-gradients-blur, smoothgrad, occlusion, "
        "rise, random, uniform, or name your own as module:object"
    )


@pytest.mark.parametrize("method", NEEDS_EVIDENCE)
def test_a_black_box_without_exact_conversion_has_no_evidence(method: str) -> None:
    with pytest.raises(softcam.ConversionError, match="WindowClassifier has no exact class activation map"):
        build_explainer(method, WindowClassifier())


def test_the_names_are_those_of_the_table() -> None:
    assert explainer_names()[: len(METHODS)] == tuple(METHODS)
    assert [build("random", NETWORKS["black box"]()).name, build("rise", NETWORKS["black box"]()).name] == [
        "random",
        "rise",
    ]
