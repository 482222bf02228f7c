"""Heads that do something non-linear after pooling: they are applied at every place instead, before pooling.

The logits change, and the network needs fine-tuning. Where the features are the same everywhere they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from softcam.errors import ConversionError
from softcam.model.evidence import CONVOLUTIONS, ClassEvidence
from softcam.model.graph import FeatureMap, cut_tail, describe, nodes_after
from softcam.model.heads import DROPOUTS
from softcam.model.layout import Order
from softcam.model.tracing import INSTEAD, Shapes

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


def build_pointwise_head(
    traced: fx.GraphModule, start: FeatureMap, tail: Sequence[fx.Node], shapes: Shapes
) -> PointwiseHead:
    """Turn what follows the last feature map into layers that act on each place of it.

    A chain of single layers is rebuilt layer by layer; any other head that sees nothing but the mean of the feature
    map is taken as it is, as a function of one place.

    Args:
        traced: The traced network.
        start: The feature map.
        tail: The nodes behind it.
        shapes: Shape of every node's value.

    Raises:
        ConversionError: Neither can be done, or it does not give the same logits where the features are constant.
    """
    head = cut_tail(traced, start, tail)
    try:
        found = _chain(traced, start, tail, shapes)
    except ConversionError:
        whole = _mean_only(traced, start, tail, head)
        if whole is None:
            raise
        found = whole
    if not _agrees_on_constants(found.copied_evidence(), head, start.shape):
        raise _unsupported(traced, start, tail, tail[-1])
    return found


def _chain(traced: fx.GraphModule, start: FeatureMap, tail: Sequence[fx.Node], shapes: Shapes) -> PointwiseHead:
    """Rebuild a chain of layers.

    A first linear layer on a flattened ``p × p`` window (VGG, AlexNet) becomes the sum of its weights over the
    window: for a feature map that is the same everywhere this gives the same answer, and it is the published 1×1
    stack.
    """
    dims, channels = len(start.shape) - 2, start.shape[1]
    layers: list[nn.Module] = []
    previous = start.node
    for node in tail:
        if node.name not in shapes:  # a size, not a tensor
            continue
        layer = None
        if start.layout.order is Order.CHANNELS_FIRST and [n for n in node.all_input_nodes if n.name in shapes] == [
            previous
        ]:
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
        raise _unsupported(traced, start, tail, tail[-1] if tail else start.node)
    return PointwiseHead(nn.Sequential(*layers), _weights(final), describe(traced, tail), dims)


def _weights(last: nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) -> tuple[Tensor, Tensor]:
    weight = last.weight.detach().flatten(1)
    return weight, weight.new_zeros(len(weight)) if last.bias is None else last.bias.detach()


def _mean_only(
    traced: fx.GraphModule, start: FeatureMap, tail: Sequence[fx.Node], head: nn.Module
) -> PointwiseHead | None:
    """Take a head as a function of one place, if it is a function of the mean and ends in a linear layer."""
    features = torch.randn(4, *start.shape[1:], generator=torch.Generator().manual_seed(0))
    mean = features.flatten(2).mean(dim=2).view(4, -1, *[1] * (features.dim() - 2))
    try:
        with torch.no_grad():
            answers = [head(features), head(mean.expand_as(features)), head(mean)]
    except Exception:  # layers that don't take the probe may say so in any way
        return None
    if not all(_close(answers[0], answer) for answer in answers[1:]):
        return None
    last = _last_linear(traced, tail)
    if last is None:
        return None
    before = nodes_after(start.node, last.all_input_nodes[0])
    if not before:
        return None
    hidden = Pointwise(cut_tail(traced, start, before), keep_dims=True)
    linear = traced.get_submodule(str(last.target))
    assert isinstance(linear, (nn.Linear, *_CONVOLUTIONS))
    return PointwiseHead(nn.Sequential(hidden), _weights(linear), describe(traced, tail), len(start.shape) - 2)


def _close(answer: Tensor, expected: Tensor) -> bool:
    return bool((answer - expected).abs().max() <= 1e-3 * (expected - expected.mean(dim=0)).abs().max())


def _last_linear(traced: fx.GraphModule, tail: Sequence[fx.Node]) -> fx.Node | None:
    """Return the linear layer behind which a head only reshapes; None if it ends in something else."""
    for node in reversed(tail):
        if node.op in ("call_function", "call_method"):
            if node.target not in _RESHAPES:
                return None
            continue
        module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, (nn.Linear, *_CONVOLUTIONS)):
            return node
        if not isinstance(module, (nn.Identity, nn.Flatten, *DROPOUTS)):
            return None
    return None


def _agrees_on_constants(evidence: ClassEvidence, head: nn.Module, shape: Sequence[int]) -> bool:
    generator = torch.Generator().manual_seed(0)
    cell = torch.randn(2, shape[1], *[1] * (len(shape) - 2), generator=generator)
    features = cell.expand(-1, -1, *shape[2:])
    with torch.no_grad():
        maps, expected = evidence.eval()(features), head(features)
    return bool((maps.flatten(2).mean(dim=2) - expected).abs().max() <= 1e-3 * expected.abs().max().clamp(min=1))


def _unsupported(traced: fx.GraphModule, start: FeatureMap, tail: Sequence[fx.Node], node: fx.Node) -> ConversionError:
    return ConversionError(
        f"cannot convert {type(traced).__name__}: after its last feature map ({start.label}) comes "
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
    if isinstance(module, DROPOUTS) or type(module).__module__ == "torch.nn.modules.activation":
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
