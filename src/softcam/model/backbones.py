"""Standard classifiers by name: torchvision's, and timm's as an extra."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from softcam.errors import ConfigError

_TIMM = "timm/"
# these two return auxiliary logits in training, which no loss here uses
_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def build_backbone(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
    """Build a classifier with its usual head.

    Args:
        name: A torchvision classification model, such as ``resnet50``, or ``timm/NAME``.
        num_classes: Number K of outputs.
        in_channels: Channels of the images. A first convolution for another number is made from the RGB one,
            so that a grey image gives what it would give as RGB.
        pretrained: Whether to load the library's ImageNet weights, except those of the last layer.

    Returns:
        The network, in train mode.

    Raises:
        ConfigError: No such network, timm is not installed, or the weights cannot be had.
    """
    if name.startswith(_TIMM):
        return _build_timm(name.removeprefix(_TIMM), num_classes, in_channels, pretrained)
    return _build_torchvision(name, num_classes, in_channels, pretrained)


def _build_torchvision(name: str, num_classes: int, in_channels: int, pretrained: bool) -> nn.Module:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise ConfigError(
            f"backbone {name!r} is not a torchvision classifier; "
            "use one of torchvision.models.list_models(), or timm/NAME"
        )
    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **_OPTIONS.get(name, {}))
    if pretrained:
        _load_fitting(network, _imagenet_weights(name))
    if in_channels != 3:
        _adapt_first_convolution(network, in_channels)
    return network


def _imagenet_weights(name: str) -> dict[str, Tensor]:
    from torchvision import models

    try:
        weights: dict[str, Tensor] = models.get_model_weights(name).DEFAULT.get_state_dict(check_hash=True)
    except OSError as error:
        raise ConfigError(
            f"the ImageNet weights of {name} cannot be downloaded ({error}); put the file into "
            f"{torch.hub.get_dir()}/checkpoints, or train without pretrained weights"
        ) from error
    return weights


def _load_fitting(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load all weights whose shape fits; the last layer's do not where the classes differ."""
    own = network.state_dict()
    network.load_state_dict({k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}, strict=False)


def _adapt_first_convolution(network: nn.Module, in_channels: int) -> None:
    name, old = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    new = copy.deepcopy(old)
    new.in_channels = in_channels
    weight = old.weight.detach()
    if in_channels == 1:
        weight = weight.sum(dim=1, keepdim=True)
    else:
        cycle = torch.arange(in_channels) % weight.shape[1]
        weight = weight[:, cycle] * weight.shape[1] / in_channels
    new.weight = nn.Parameter(weight)
    network.set_submodule(name, new)


def _build_timm(name: str, num_classes: int, in_channels: int, pretrained: bool) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ConfigError(f"backbone timm/{name} needs timm: pip install 'softcam[timm]'") from error
    if not timm.is_model(name):
        raise ConfigError(f"backbone {name!r} is not a timm model; see timm.list_models()")
    try:
        network: nn.Module = timm.create_model(
            name, pretrained=pretrained, num_classes=num_classes, in_chans=in_channels
        )
    except OSError as error:
        raise ConfigError(
            f"the weights of timm/{name} cannot be had ({error}); train without pretrained weights"
        ) from error
    return network
