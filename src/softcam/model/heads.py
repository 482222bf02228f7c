"""Heads that are affine in the spatial mean of the feature map, whatever they are made of.

They commute with pooling, so a class evidence layer with the same logits takes their place.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, fx, nn

from softcam.model.evidence import ClassEvidence
from softcam.model.graph import FeatureMap, cut_tail, describe

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


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


def find_affine_head(traced: fx.GraphModule, start: FeatureMap, tail: Sequence[fx.Node]) -> AffineHead | None:
    """Probe whether the network behind ``start`` is affine in the spatial mean, and with which weights.

    The head is taken as a function and probed with numbers, in float64; what it is made of does not matter.

    Args:
        traced: The traced network.
        start: The feature map.
        tail: The nodes behind it.

    Returns:
        The head, or None if it is not affine in the mean.
    """
    head = cut_tail(traced, start, tail)
    channels, spatial = start.shape[1], start.shape[2:]
    try:
        with torch.no_grad():
            if not _is_affine_in_mean(head, channels, spatial, torch.float32, tolerance=1e-3):
                return None  # told apart cheaply: a copy of VGG's head in float64 takes a gigabyte
            head = copy.deepcopy(head).double()
            if not _is_affine_in_mean(head, channels, spatial, torch.float64, tolerance=1e-8):
                return None
            weight, bias = _read_weights(head, channels, spatial)
            if not _predicts(weight, bias, head, channels, spatial):
                return None  # a sum over places, for example: its weights follow the size of the map
    except Exception:  # layers that don't take the probe may say so in any way
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
    except Exception:
        return _answers_to_channels(head, channels, spatial)


def _predicts(weight: Tensor, bias: Tensor, head: nn.Module, channels: int, spatial: tuple[int, ...]) -> bool:
    features = torch.randn(2, channels, *spatial, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    predicted, expected = features.flatten(2).mean(dim=2) @ weight.T + bias, head(features)
    return bool((predicted - expected).abs().max() <= 1e-6 * expected.abs().max())


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
    kept = [1 - module.p for outer in called for module in outer.modules() if isinstance(module, DROPOUTS)]
    return 1 - reduce(operator.mul, kept, 1.0)
