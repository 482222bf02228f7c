"""A user's own explainer: of an installed package, or anywhere on the Python path."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import entry_points

from torch import Tensor, nn

from softcam.errors import ConfigError
from softcam.explainers.explanation import Explainer, Explanation, ModelExplainer

ENTRY_POINTS = "softcam.explainers"
"""Entry point group in which installed packages offer explainers."""

Factory = Callable[[nn.Module], Explainer]


class PluginExplainer(ModelExplainer):
    """Runs an explainer written elsewhere and leaves the model as it was, whatever that explainer does to it.

    Args:
        name: What tables call it.
        model: The classifier.
        factory: Makes the explainer for a model.

    Raises:
        ConfigError: The factory makes nothing that can be called; on call, that what it gives is no
            :class:`Explanation`, or its maps have not the size of the images.
    """

    def __init__(self, name: str, model: nn.Module, factory: Factory) -> None:
        super().__init__(name, model)
        self.explainer = factory(model)
        if not callable(self.explainer):
            made = type(self.explainer).__name__
            raise ConfigError(f"explainer {name!r} makes a {made}; it must make a function of images and classes")

    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        explanation = self.explainer(images, classes)
        if not isinstance(explanation, Explanation):
            given = type(explanation).__name__
            raise ConfigError(f"explainer {self.name!r} gives a {given}; it must give a softcam.explainers.Explanation")
        wanted = (len(images), *images.shape[2:])
        if tuple(explanation.maps.shape) != wanted:
            raise ConfigError(
                f"explainer {self.name!r} gives maps of shape {tuple(explanation.maps.shape)}; "
                f"for these images it must be {wanted} (N, H, W)"
            )
        return Explanation(explanation.maps.detach().float(), explanation.map_size, explanation.forward_passes)


def plugin_names() -> tuple[str, ...]:
    """Return the names of the explainers that installed packages offer."""
    return tuple(sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)}))


def find_plugin(spec: str) -> Factory | None:
    """Return the factory that a name of an installed package's explainer, or ``module:object``, stands for.

    Returns:
        The factory, or None for a name that nothing offers.

    Raises:
        ConfigError: The module cannot be imported, or holds no such thing to call.
    """
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == spec:
            return _load(spec, entry.value)
    return _load(spec, spec) if ":" in spec else None


def _load(spec: str, reference: str) -> Factory:
    module, _, path = reference.partition(":")
    try:
        found: object = importlib.import_module(module)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"explainer {spec!r}: cannot import {module!r} ({error}); put its folder on PYTHONPATH, or install it"
        ) from error
    for attribute in path.split("."):
        found = getattr(found, attribute, None)
    if not callable(found):
        raise ConfigError(f"explainer {spec!r}: {module} has no {path!r} that can be called with a model")
    factory: Factory = found
    return factory
