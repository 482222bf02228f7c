from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import softcam
from softcam.explainers import Explanation, build_explainer, explainer_names, plugins
from tests.explainers.networks import NETWORKS, LinearClassifier, batch

CLASSES = torch.tensor([0, 2])


class Brightness:
    """An explainer that is careless with its model."""

    name = "mine"

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, images: Tensor, classes: Tensor) -> Explanation:
        self.model.train()
        self.model(images).sum().backward()
        self.model.register_forward_hook(lambda module, inputs, output: None)
        images.zero_()
        return Explanation.from_pixels(torch.full((len(images), *images.shape[2:]), torch.nan), forward_passes=3)


class Half(Brightness):
    """Gives maps of half the size."""

    def __call__(self, images: Tensor, classes: Tensor) -> Explanation:
        return Explanation.from_pixels(images[:, 0, ::2, ::2], forward_passes=1)


class Bare(Brightness):
    """Gives a tensor."""

    def __call__(self, images: Tensor, classes: Tensor) -> Explanation:
        return images  # type: ignore[return-value]


def not_an_explainer(model: nn.Module) -> int:
    return 3


def test_a_plugin_by_module_and_object_leaves_the_model_alone() -> None:
    model, images = NETWORKS["black box"](), batch(2)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    explainer = build_explainer(f"{__name__}:Brightness", model)
    explanation = explainer(images, CLASSES)
    assert explainer.name == f"{__name__}:Brightness"
    assert explanation.maps.isnan().all()
    assert (explanation.maps.shape, explanation.forward_passes) == ((2, 16, 16), 3)
    assert torch.equal(images, batch(2))
    assert not model.training
    assert not model._forward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_plugin_of_an_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [EntryPoint("mine", f"{__name__}:Brightness", plugins.ENTRY_POINTS)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: offered if group == "softcam.explainers" else [])
    assert explainer_names()[-1] == "mine"
    explainer = build_explainer("mine", NETWORKS["black box"]())
    assert explainer(batch(2), CLASSES).forward_passes == 3
    with pytest.raises(softcam.ConfigError, match=r"random, uniform, mine, or name your own"):
        build_explainer("nothing", NETWORKS["black box"]())


def test_a_plugin_in_a_file_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from softcam.explainers import Explanation

class Methods:
    @staticmethod
    def red(model):
        return lambda images, classes: Explanation.from_pixels(images[:, 0], forward_passes=0)
"""
    (tmp_path / "my_explainers.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    explainer = build_explainer("my_explainers:Methods.red", NETWORKS["black box"]())
    assert torch.equal(explainer(batch(2), CLASSES).maps, batch(2)[:, 0])
    sys.modules.pop("my_explainers")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "no_such_module:Mine",
            "explainer 'no_such_module:Mine': cannot import 'no_such_module' (No module named 'no_such_module'); "
            "put its folder on PYTHONPATH, or install it",
        ),
        ("torch:Mine", "explainer 'torch:Mine': torch has no 'Mine' that can be called with a model"),
        (
            "torch:__version__",
            "explainer 'torch:__version__': torch has no '__version__' that can be called with a model",
        ),
        (
            f"{__name__}:not_an_explainer",
            f"explainer '{__name__}:not_an_explainer' makes a int; it must make a function of images and classes",
        ),
        (
            ":Mine",
            "explainer ':Mine': cannot import '' (Empty module name); put its folder on PYTHONPATH, or install it",
        ),
    ],
)
def test_a_plugin_that_cannot_be_had(spec: str, message: str) -> None:
    with pytest.raises(softcam.ConfigError) as error:
        build_explainer(spec, NETWORKS["black box"]())
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Half", "gives maps of shape (2, 8, 8); for these images it must be (2, 16, 16) (N, H, W)"),
        ("Bare", "gives a Tensor; it must give a softcam.explainers.Explanation"),
    ],
)
def test_a_plugin_that_gives_something_else(name: str, message: str) -> None:
    explainer = build_explainer(f"{__name__}:{name}", NETWORKS["black box"]())
    with pytest.raises(softcam.ConfigError) as error:
        explainer(batch(2), CLASSES)
    assert str(error.value) == f"explainer '{__name__}:{name}' {message}"


def test_the_documented_explainer_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "own-explainer.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "documented_explainer.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    model = LinearClassifier()
    maps = build_explainer("documented_explainer:GradientTimesInput", model)(batch(2), CLASSES).maps
    torch.testing.assert_close(maps, (model.kernels[CLASSES] * batch(2)).sum(1))
    sys.modules.pop("documented_explainer")
