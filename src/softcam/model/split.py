"""A classifier as two functions: images to its last feature map, and that map to logits."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from softcam.errors import ConversionError
from softcam.model import graph
from softcam.model.evidence import evaluating
from softcam.model.search import find_head
from softcam.model.source import Source, unwrapped
from softcam.model.tracing import trace


def split_network(model: nn.Module, example: Tensor | None = None) -> tuple[nn.Module, nn.Module]:
    """Cut a classifier where :func:`softcam.convert` would put its evidence layer, without changing its logits.

    Args:
        model: The classifier; it is not changed.
        example: An input ``(N, C, H, W)`` that it accepts, as for :func:`softcam.convert`.

    Returns:
        A backbone, images to the feature map ``(N, D, h, w)``, and a head, that map to logits. They share the weights
        of ``model``.

    Raises:
        ConversionError: The network does not end in something that can be converted.
    """
    model = unwrapped(model)
    source = Source.of(model, example)
    found = find_head(source.network, source.example, source.larger, ())
    if found.borrowed:
        raise ConversionError(
            f"cannot split {type(model).__name__}: its head reads a token of no place, so its logits are no function "
            "of a feature map; give it as a SoftCAM (softcam.convert), or explain it by its pixels"
        )
    device, dtype = next(iter(source.places.values()))
    with evaluating(model):
        traced, _ = trace(model, source.example.to(device, dtype), found.opened)
    node = next(node for node in traced.graph.nodes if node.name == found.last.node.name)
    start = replace(found.last, node=node)
    tail = graph.nodes_after(node, graph.output_node(traced))
    assert tail is not None
    return graph.cut_backbone(traced, [start]), graph.cut_tail(traced, start, tail)
