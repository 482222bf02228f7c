"""A network as two functions: images to its last feature map, and that map to logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softcam.explainers.undisturbed import undisturbed
from softcam.model.evidence import SoftCAM, combine_stages
from softcam.model.split import split_network


@dataclass(frozen=True)
class FeatureSplit:
    """A network cut behind its last feature map, sharing the weights: ``head(backbone(images))`` are its logits.

    What depends on the last feature map alone needs no hooks, and its gradient no backward pass through the
    backbone.

    Attributes:
        backbone: Images ``(N, C, H, W)`` in, the feature maps out that ``head`` reads; the last one is the one
            to explain.
        head: These maps in, logits ``(N, K)`` out.
    """

    backbone: Callable[[Tensor], tuple[Tensor, ...]]
    head: Callable[[tuple[Tensor, ...]], Tensor]

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps ``(N, D, h, w)`` without a graph behind them."""
        with torch.no_grad():
            return self.backbone(images)


def split_at_features(model: nn.Module, example: Tensor | None = None) -> FeatureSplit:
    """Cut a classifier where :func:`softcam.convert` would put its evidence layer.

    For a SoftCAM that is the map which its evidence layer reads, with several layers the last of them.

    Args:
        model: The classifier; it is not changed.
        example: An input ``(N, C, H, W)`` that it accepts, as for :func:`softcam.convert`.

    Raises:
        ConversionError: The network does not end in something that can be converted.
    """
    return _split_softcam(model) if isinstance(model, SoftCAM) else _split_black_box(model, example)


def _split_softcam(model: SoftCAM) -> FeatureSplit:
    def head(features: tuple[Tensor, ...]) -> Tensor:
        maps = [layer(feature) for layer, feature in zip(model.evidence, features, strict=True)]
        return combine_stages(maps).mean(dim=(2, 3))

    return FeatureSplit(model.features, head)


def _split_black_box(model: nn.Module, example: Tensor | None) -> FeatureSplit:
    with undisturbed(model):
        backbone, head = split_network(model, example)
    return FeatureSplit(lambda images: (backbone(images),), lambda features: head(features[-1]))
