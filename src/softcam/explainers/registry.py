"""Explainers by name."""

from __future__ import annotations

from torch import Tensor, nn

from softcam.errors import ConfigError
from softcam.explainers.evidence import EvidenceExplainer
from softcam.explainers.explanation import Explainer
from softcam.explainers.methods import METHODS, Order
from softcam.explainers.plugins import PluginExplainer, find_plugin, plugin_names
from softcam.model.task import Task

_STAGE_PREFIX = "softcam-"


def build_explainer(
    spec: str, model: nn.Module, *, seed: int = 0, task: Task | None = None, example: Tensor | None = None
) -> Explainer:
    """Make an explainer for a model.

    The model is not changed, and explaining leaves it as it was. The weights are read when an image is explained,
    but for the evidence of a black box: its conversion copies them here.

    Args:
        spec: One of :func:`explainer_names`; ``softcam-STAGE`` for the evidence of one stage of a SoftCAM with
            several, for example ``softcam-layer3``; or ``module:object``, something that takes the model and
            returns an :class:`~softcam.explainers.Explainer`.
        model: A classifier, images ``(N, C, H, W)`` to logits ``(N, K)``.
        seed: Of what is random in a method.
        task: How a black box's logits become probabilities (``softcam`` and ``rise`` ask for it); by default
            softmax, for one output sigmoid. A SoftCAM knows it.
        example: An input ``(N, C, H, W)`` that a black box accepts, as for :func:`softcam.convert`; by default random
            images of 224 px.

    Returns:
        The explainer.

    Raises:
        ConfigError: There is no such explainer, or what it needs is not installed.
        ConversionError: The network has no evidence or no last feature map, which the explainer needs.

    Example:
        >>> import torch, torchvision
        >>> explainer = build_explainer("gradcam", torchvision.models.resnet18())
        >>> explanation = explainer(torch.zeros(2, 3, 64, 64), torch.tensor([0, 7]))
        >>> explanation.maps.shape, explanation.map_size
        (torch.Size([2, 64, 64]), (2, 2))
    """
    if spec in METHODS:
        return METHODS[spec].build(Order(spec, model, task, seed, example))
    if spec.startswith(_STAGE_PREFIX) and ":" not in spec and spec not in plugin_names():
        return EvidenceExplainer(spec, model, stage=spec.removeprefix(_STAGE_PREFIX), task=task, example=example)
    factory = find_plugin(spec)
    if factory is None:
        names = ", ".join(explainer_names())
        raise ConfigError(f"there is no explainer {spec!r}; choose from {names}, or name your own as module:object")
    return PluginExplainer(spec, model, factory)


def explainer_names() -> tuple[str, ...]:
    """Return the names of the built-in explainers and of those that installed packages offer."""
    return (*METHODS, *(name for name in plugin_names() if name not in METHODS))
