"""Dilation in place of stride: the same weights on a finer grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from softcam.errors import ConfigError, ConversionError
from softcam.model.evidence import evaluating

Strided: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d
_STRIDED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)


@dataclass(frozen=True)
class _Reach:
    """How many pixels of the image lie between two cells before and after a layer."""

    before: int
    after: int


def dilate(network: nn.Module, output_stride: int, example: Tensor) -> None:
    """Keep the feature maps of a network at ``output_stride``: later strides become dilations of what follows.

    Every weight meets the same places of the image as before, and those between them as well (Yu & Koltun 2016; Chen
    et al., DeepLab, 2018). Where two layers are ``d`` times denser than they were, kernels reach ``d`` times as far.
    The maps get finer; the numbers near the borders change, because padding comes in elsewhere, and so does what
    global pooling averages.

    Args:
        network: Changed in place.
        output_stride: Pixels of the image per cell of the last feature map.
        example: An input ``(N, C, H, W)`` that the network accepts.

    Raises:
        ConfigError: ``output_stride`` is below 1, or the network has no stride beyond it.
        ConversionError: A stride beyond it belongs to a layer whose kernel has an even size, or to no layer.
    """
    if output_stride < 1:
        raise ConfigError(f"convert: output_stride is {output_stride}; it is at least 1")
    reaches = _reaches(network, example)
    if max((reach.after for _, reach in reaches.values()), default=1) <= output_stride:
        raise ConfigError(f"convert: output_stride is {output_stride}, but no stride of this network goes beyond it")
    for name, (layer, reach) in reaches.items():
        _densify(name, layer, reach, output_stride, example.dim() - 2)
    if not _keeps(network, output_stride, example):
        raise ConversionError(
            f"cannot bring {type(network).__name__} to an output_stride of {output_stride}: it shrinks its feature "
            "maps by something other than strided convolutions and maximum pooling; use stages=... instead"
        )


def _keeps(network: nn.Module, output_stride: int, example: Tensor) -> bool:
    try:
        reaches = _reaches(network, example)
    except RuntimeError:  # branches of different size meet
        return False
    return all(reach.after <= output_stride for _, reach in reaches.values())


def _reaches(network: nn.Module, example: Tensor) -> dict[str, tuple[Strided, _Reach]]:
    """Return the layers in question with their reach, by name; without those on pooled vectors (gates of channels)."""
    names = {id(module): name for name, module in network.named_modules()}
    found: dict[str, tuple[Strided, _Reach]] = {}
    width = example.shape[-1]

    def record(layer: Any, inputs: tuple[Any, ...], output: Any) -> None:
        if inputs[0].shape[-1] > 1:
            before, after = (round(width / tensor.shape[-1]) for tensor in (inputs[0], output))
            found.setdefault(names[id(layer)], (layer, _Reach(before, after)))

    hooks = [m.register_forward_hook(record) for m in network.modules() if isinstance(m, _STRIDED)]
    try:
        with torch.no_grad(), evaluating(network):
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _densify(name: str, layer: Strided, reach: _Reach, output_stride: int, dims: int) -> None:
    kernel = _tuple(layer.kernel_size, dims)
    strided = max(_tuple(layer.stride, dims)) > 1 and reach.after > output_stride
    denser = max(1, reach.before // output_stride)
    if strided:
        if any(size % 2 == 0 for size in kernel):
            raise ConversionError(
                f"cannot replace the stride of {name} by dilation: its kernel of {'×'.join(map(str, kernel))} has no "
                "centre; use stages=... instead"
            )
        layer.stride = (1,) * dims
    if denser > 1 and max(kernel) > 1:
        layer.dilation = tuple(denser * d for d in _tuple(layer.dilation, dims))
        layer.padding = tuple(denser * p for p in _tuple(layer.padding, dims))


def _tuple(value: Any, dims: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (int(value),) * dims
