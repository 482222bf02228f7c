"""The graph of a network's modules (torch.fx): what is in it, in words, and cutting it."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from softcam.errors import ConversionError
from softcam.model.layout import Layout, Order, channels_first, channels_last, map_to_tokens, tokens_to_map
from softcam.model.tracing import INSTEAD, Shapes, same_path


@dataclass(frozen=True)
class FeatureMap:
    """A node that gives a map of more than one cell.

    Attributes:
        node: The node.
        layout: How its value lies.
        shape: Shape ``(N, D, h, w)`` of the map for the example.
    """

    node: fx.Node
    layout: Layout
    shape: tuple[int, ...]

    @property
    def label(self) -> str:
        """What a user calls this node: the module's name, or the node's own."""
        return str(self.node.target) if self.node.op == "call_module" else self.node.name


def feature_maps(traced: fx.GraphModule, shapes: Shapes, image: Sequence[int]) -> list[FeatureMap]:
    """Return the feature maps of a network in the order in which they are computed.

    Args:
        traced: The traced network.
        shapes: Shape of every node's value.
        image: Spatial size of the example.
    """
    found = []
    for node in traced.graph.nodes:
        layout = Layout.of(shapes.get(node.name, ()), image) if node.op.startswith("call_") else None
        if layout is not None:
            shape = layout.map_shape(shapes[node.name], image)
            found += [FeatureMap(node, layout, shape)] if math.prod(shape[2:]) > 1 else []
    return found


class _ShapeRecorder(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.shapes: Shapes = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n.name] = tuple(result.shape)
        return result


def record_shapes(traced: fx.GraphModule, example: Tensor) -> Shapes:
    """Run ``example`` through the graph and return the shape of every node that gives a tensor."""
    recorder = _ShapeRecorder(traced)
    with torch.no_grad():
        recorder.run(example)
    return recorder.shapes


def output_node(traced: fx.GraphModule) -> fx.Node:
    """Return the node whose value the network returns.

    Raises:
        ConversionError: It returns something other than one tensor.
    """
    returned = next(node for node in traced.graph.nodes if node.op == "output").args[0]
    if isinstance(returned, fx.Node):
        return returned
    raise ConversionError(
        f"cannot convert {type(traced).__name__}: it returns a {type(returned).__name__}, not one tensor of logits"
        + INSTEAD
    )


def describe(traced: fx.GraphModule, nodes: Sequence[fx.Node]) -> str:
    """Say in words what ``nodes`` do, in order: ``AdaptiveAvgPool2d → flatten → Linear(512, 10)``."""
    return " → ".join(_describe_node(traced, node) for node in nodes) or "nothing"


def _describe_node(traced: fx.GraphModule, node: fx.Node) -> str:
    if node.op != "call_module":
        return getattr(node.target, "__name__", str(node.target))
    return _describe_module(traced.get_submodule(str(node.target)))


def _describe_module(module: nn.Module) -> str:
    if isinstance(module, nn.Sequential):
        return " → ".join(_describe_module(child) for child in module) or "nothing"
    if isinstance(module, nn.Linear):
        return f"Linear({module.in_features}, {module.out_features})"
    return type(module).__name__


def nodes_after(start: fx.Node, end: fx.Node) -> list[fx.Node] | None:
    """Return the nodes that compute ``end`` from ``start`` alone, in order; None if ``end`` needs more.

    The number of images in the batch may be taken from anywhere.
    """
    needed: set[fx.Node] = set()
    pending = [end]
    while pending:
        node = pending.pop()
        if node is start or node in needed:
            continue
        if node.op == "placeholder":
            return None
        needed.add(node)
        if not _is_batch_size(node):
            pending.extend(node.all_input_nodes)
    return [node for node in start.graph.nodes if node in needed]


def _is_batch_size(node: fx.Node) -> bool:
    if node.op == "call_method" and node.target == "size":
        return bool(len(node.args) == 2 and node.args[1] == 0)
    if node.target is not operator.getitem or node.args[1] != 0 or not isinstance(node.args[0], fx.Node):
        return False
    source = node.args[0]
    is_shape = source.target is getattr and source.args[1] == "shape"
    return bool(is_shape or (source.op == "call_method" and source.target == "size" and len(source.args) == 1))


def cut_tail(traced: fx.GraphModule, start: FeatureMap, tail: Sequence[fx.Node]) -> fx.GraphModule:
    """Return the part of the network behind ``start`` as a module of its own, a function of that map ``(N, D, h, w)``.

    Args:
        traced: The traced network.
        start: The feature map.
        tail: Nodes behind it, in order; the value of the last is returned.
    """
    graph = fx.Graph()
    features = graph.placeholder("features")
    copies = {start.node: _as_laid_out(graph, features, start.layout)}
    for node in tail:
        if _is_batch_size(node):
            copies[node] = graph.call_method("size", (features, 0))
        else:
            copies[node] = graph.node_copy(node, lambda old: copies[old])
    graph.output(copies[tail[-1]] if tail else copies[start.node])
    return fx.GraphModule(traced, graph, "Head")


def _as_laid_out(graph: fx.Graph, features: fx.Node, layout: Layout) -> fx.Node:
    if layout.order is Order.CHANNELS_LAST:
        return graph.call_function(channels_last, (features,))
    if layout.order is Order.TOKENS:
        return graph.call_function(map_to_tokens, (features, layout.extra))
    return features


def cut_backbone(traced: fx.GraphModule, stages: Sequence[FeatureMap]) -> fx.GraphModule:
    """Return the part of the network up to ``stages`` as a module that gives them as ``(N, D, h, w)``.

    One alone is returned as a tensor, several as a tuple. The questions about sizes that this part asks stay in it.
    """
    needed = _ancestors(stage.node for stage in stages)
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in traced.graph.nodes:
        if node.op == "placeholder" or node in needed or (node.target is same_path and _asks_for(node, needed)):
            needed |= _ancestors([node])
    for node in traced.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, lambda old: copies[old])
    images = next(node for node in graph.nodes if node.op == "placeholder")
    maps = [_as_map(graph, images, copies[stage.node], stage.layout) for stage in stages]
    graph.output(maps[0] if len(maps) == 1 else tuple(maps))
    return fx.GraphModule(traced, graph, type(traced).__name__)


def _as_map(graph: fx.Graph, images: fx.Node, value: fx.Node, layout: Layout) -> fx.Node:
    if layout.order is Order.CHANNELS_LAST:
        return graph.call_function(channels_first, (value,))
    if layout.order is Order.TOKENS:
        return graph.call_function(tokens_to_map, (value, images, layout.extra))
    return value


def _asks_for(question: fx.Node, needed: set[fx.Node]) -> bool:
    """Return whether a question about sizes takes no layer beyond the ``needed`` ones."""
    return not any(node.op in ("call_module", "get_attr") for node in _ancestors([question]) - needed)


def _ancestors(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending.extend(node.all_input_nodes)
    return found


def has_children(module: nn.Module) -> bool:
    """Return whether ``module`` is made of others, so that taking it apart shows more."""
    return any(True for _ in module.children())
