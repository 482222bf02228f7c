"""How a classifier ends, and the class evidence layer that takes its place.

Two kinds of heads can be replaced. One that is *affine in the spatial mean* of the feature map, whatever it is
made of, commutes with pooling and is replaced exactly. One that is a chain of layers acting on the pooled vector,
with something non-linear among them, is applied at every place instead, before pooling; its logits change.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, fx, nn

from softcam.errors import ConversionError
from softcam.model.evidence import CONVOLUTIONS, ClassEvidence
from softcam.model.graph import INSTEAD, cut_tail, describe

_RESHAPES = {
    torch.flatten,
    torch.squeeze,
    torch.reshape,
    "flatten",
    "view",
    "reshape",
    "squeeze",
    "contiguous",
}
_POOLS = (
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
)
_POOL_FUNCTIONS = {
    torch.mean,
    "mean",
    nn.functional.adaptive_avg_pool1d,
    nn.functional.adaptive_avg_pool2d,
    nn.functional.adaptive_avg_pool3d,
    nn.functional.avg_pool2d,
    nn.functional.avg_pool3d,
}
_FUNCTIONAL_ACTIVATIONS: dict[object, type[nn.Module]] = {
    nn.functional.relu: nn.ReLU,
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    nn.functional.gelu: nn.GELU,
    nn.functional.silu: nn.SiLU,
    nn.functional.hardswish: nn.Hardswish,
    torch.tanh: nn.Tanh,
}
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True)
class AffineHead:
    """``logits = weight · mean_hw(Z) + bias``.

    Attributes:
        weight: ``(K, D)``.
        bias: ``(K,)``.
        dropout: Probability that an entry of the pooled vector is dropped in training.
        description: What the head is made of.
        dims: Spatial dimensions of the feature map.
    """

    weight: Tensor
    bias: Tensor
    dropout: float
    description: str
    dims: int = 2

    @property
    def num_classes(self) -> int:
        """Number K of classes."""
        return self.weight.shape[0]

    def exact_evidence(self) -> ClassEvidence:
        """Return the evidence layer that gives the same logits."""
        layer = ClassEvidence(self.weight.shape[1], self.num_classes, dropout=self.dropout, dims=self.dims)
        with torch.no_grad():
            layer.classes.weight.copy_(self.weight.view_as(layer.classes.weight))
            assert layer.classes.bias is not None
            layer.classes.bias.copy_(self.bias)
        return layer


@dataclass(frozen=True)
class PointwiseHead:
    """Layers on the pooled vector that are applied at every place instead, with a last linear layer.

    Attributes:
        hidden: What comes before the last linear layer, acting on each place alone.
        last: ``(weight (K, D'), bias (K,))`` of the last linear layer.
        description: What the head is made of.
        dims: Spatial dimensions of the feature map.
    """

    hidden: nn.Sequential
    last: tuple[Tensor, Tensor]
    description: str
    dims: int = 2

    @property
    def num_classes(self) -> int:
        """Number K of classes."""
        return self.last[0].shape[0]

    def copied_evidence(self) -> ClassEvidence:
        """Return the evidence layer with the weights of the head, as far as they can be kept."""
        layer = self.new_evidence(self.num_classes)
        with torch.no_grad():
            layer.classes.weight.copy_(self.last[0].view_as(layer.classes.weight))
            assert layer.classes.bias is not None
            layer.classes.bias.copy_(self.last[1])
        return layer

    def new_evidence(self, num_classes: int) -> ClassEvidence:
        """Return an evidence layer with the hidden layers kept and new kernels for ``num_classes``."""
        return ClassEvidence(self.last[0].shape[1], num_classes, hidden=self.hidden, dims=self.dims)


class Pointwise(nn.Module):
    """Applies a module for vectors ``(N, D)`` at every place of a map ``(N, D, h, w)``.

    Args:
        module: Acts on ``(N, D)``, or on ``(N, D, 1, 1)`` with ``keep_dims``.
        keep_dims: Which of the two.
    """

    def __init__(self, module: nn.Module, keep_dims: bool) -> None:
        super().__init__()
        self.module = module
        self.keep_dims = keep_dims

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, D, h, w)`` to ``(N, D', h, w)``."""
        moved = features.movedim(1, -1)
        vectors = moved.flatten(0, -2)
        if self.keep_dims:
            vectors = vectors.view(*vectors.shape, *[1] * (features.dim() - 2))
        result: Tensor = self.module(vectors).flatten(1)
        return result.view(*moved.shape[:-1], -1).movedim(-1, 1)


def find_affine_head(
    traced: fx.GraphModule, start: fx.Node, tail: Sequence[fx.Node], shape: Sequence[int]
) -> AffineHead | None:
    """Probe whether the network behind ``start`` is affine in the spatial mean, and with which weights.

    The head is taken as a function and probed with numbers, in float64; what it is made of does not matter.

    Args:
        traced: The traced network.
        start: The node that gives the feature map.
        tail: The nodes behind it.
        shape: Shape ``(N, D, *spatial)`` of the feature map.

    Returns:
        The head, or None if it is not affine in the mean.
    """
    head = cut_tail(traced, start, tail)
    channels, spatial = shape[1], tuple(shape[2:])
    try:
        with torch.no_grad():
            if not _is_affine_in_mean(head, channels, spatial, torch.float32, tolerance=1e-3):
                return None  # told apart cheaply: a copy of VGG's head in float64 takes a gigabyte
            head = copy.deepcopy(head).double()
            if not _is_affine_in_mean(head, channels, spatial, torch.float64, tolerance=1e-8):
                return None
            weight, bias = _read_weights(head, channels, spatial)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
    return AffineHead(weight, bias, _dropout_probability(traced, tail), describe(traced, tail), len(spatial))


def _is_affine_in_mean(
    head: nn.Module, channels: int, spatial: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> bool:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(4, channels, *spatial, generator=generator, dtype=dtype) for _ in range(2))
    offset = head(torch.zeros_like(first))
    if not isinstance(offset, Tensor) or offset.dim() != 2 or len(offset) != 4:
        return False
    pooled = first.flatten(2).mean(dim=2).view(4, channels, *[1] * len(spatial)).expand_as(first)
    of_mean, of_sum = head(pooled) - offset, head(first + 3 * second) - offset
    of_first, of_second = head(first) - offset, head(second) - offset
    allowed = tolerance * float(of_first.abs().max() + of_second.abs().max())
    of_parts = of_first + 3 * of_second
    return bool((of_first - of_mean).abs().max() <= allowed and (of_sum - of_parts).abs().max() <= 10 * allowed)


def _read_weights(head: nn.Module, channels: int, spatial: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Read weight ``(K, D)`` and bias ``(K,)`` off the answers to one channel at a time."""
    try:  # a map of one cell is the cheapest probe, where the head takes one
        return _answers_to_channels(head, channels, (1,) * len(spatial))
    except (RuntimeError, ValueError, IndexError):
        return _answers_to_channels(head, channels, spatial)


def _answers_to_channels(
    head: nn.Module, channels: int, spatial: tuple[int, ...], chunk: int = 64
) -> tuple[Tensor, Tensor]:
    bias = head(torch.zeros(2, channels, *spatial, dtype=torch.float64))[0]
    columns = []
    for start in range(0, channels, chunk):
        index = torch.arange(start, min(start + chunk, channels))
        probe = torch.zeros(len(index), channels, *spatial, dtype=torch.float64)
        probe[torch.arange(len(index)), index] = 1
        columns.append(head(probe) - bias)
    return torch.cat(columns).T.contiguous(), bias


def _dropout_probability(traced: fx.GraphModule, tail: Sequence[fx.Node]) -> float:
    called = [traced.get_submodule(str(node.target)) for node in tail if node.op == "call_module"]
    kept = [1 - module.p for outer in called for module in outer.modules() if isinstance(module, _DROPOUTS)]
    return 1 - reduce(operator.mul, kept, 1.0)


def build_pointwise_head(
    traced: fx.GraphModule, start: fx.Node, tail: Sequence[fx.Node], shapes: dict[str, tuple[int, ...]]
) -> PointwiseHead:
    """Turn a chain of layers on the pooled vector into layers that act on each place of the feature map.

    A first linear layer on a flattened ``p × p`` window (VGG, AlexNet) becomes the sum of its weights over the
    window: for a feature map that is the same everywhere this gives the same answer, and it is the published 1×1
    stack.

    Args:
        traced: The traced network.
        start: The node that gives the feature map.
        tail: The nodes behind it.
        shapes: Shape of every node's value.

    Raises:
        ConversionError: The tail is not such a chain.
    """
    dims = len(shapes[start.name]) - 2
    layers: list[nn.Module] = []
    channels, previous = shapes[start.name][1], start
    for node in tail:
        if node.all_input_nodes != [previous]:
            raise _unsupported(traced, start, tail, node)
        layer = _pointwise_layer(traced, node, channels, shapes[previous.name], dims)
        if layer is None:
            raise _unsupported(traced, start, tail, node)
        if isinstance(layer, _CONVOLUTIONS):
            channels = layer.out_channels
        if not isinstance(layer, nn.Identity):
            layers.append(layer)
        previous = node
    final = layers.pop() if layers else None
    if not isinstance(final, _CONVOLUTIONS):
        raise _unsupported(traced, start, tail, tail[-1] if tail else start)
    bias = final.bias if final.bias is not None else final.weight.new_zeros(final.out_channels)
    last = (final.weight.detach().flatten(1), bias.detach())
    return PointwiseHead(nn.Sequential(*layers), last, describe(traced, tail), dims)


def _unsupported(traced: fx.GraphModule, start: fx.Node, tail: Sequence[fx.Node], node: fx.Node) -> ConversionError:
    return ConversionError(
        f"cannot convert {type(traced).__name__}: after its last feature map ({start.name}) comes "
        f"{describe(traced, tail)}, and {describe(traced, [node])} cannot be applied at each place alone" + INSTEAD
    )


def _pointwise_layer(
    traced: fx.GraphModule, node: fx.Node, channels: int, shape: Sequence[int], dims: int
) -> nn.Module | None:
    """Return what ``node`` becomes at every place; None if it cannot be."""
    if node.op in ("call_function", "call_method"):
        if node.target in _RESHAPES or node.target in _POOL_FUNCTIONS:
            return nn.Identity()
        activation = _FUNCTIONAL_ACTIVATIONS.get(node.target)
        return None if activation is None else activation()
    if node.op != "call_module":
        return None
    module = traced.get_submodule(str(node.target))
    if isinstance(module, (nn.Flatten, nn.Identity, *_POOLS)):
        return nn.Identity()
    if isinstance(module, nn.Linear):
        return _linear_as_convolution(module, channels, dims)
    if isinstance(module, _DROPOUTS) or type(module).__module__ == "torch.nn.modules.activation":
        return module
    on_vectors = len(shape) == 2 or all(length == 1 for length in shape[2:])
    return Pointwise(module, keep_dims=len(shape) > 2) if on_vectors and len(shape) in (2, dims + 2) else None


def _linear_as_convolution(linear: nn.Linear, channels: int, dims: int) -> nn.Module | None:
    if linear.in_features % channels:
        return None
    convolution = CONVOLUTIONS[dims](channels, linear.out_features, kernel_size=1, bias=linear.bias is not None)
    with torch.no_grad():
        summed = linear.weight.view(linear.out_features, channels, -1).sum(dim=2)
        convolution.weight.copy_(summed.view_as(convolution.weight))
        if linear.bias is not None and convolution.bias is not None:
            convolution.bias.copy_(linear.bias)
    return convolution
