"""Finding the last feature map of a network and the head behind it."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn

from softcam.errors import ConversionError
from softcam.model import graph
from softcam.model.graph import FeatureMap
from softcam.model.heads import AffineHead, find_affine_head
from softcam.model.layout import Order
from softcam.model.pointwise import PointwiseHead, build_pointwise_head
from softcam.model.tracing import INSTEAD, Shapes, trace


@dataclass(frozen=True)
class Found:
    """The last feature map of a network and the head behind it.

    Attributes:
        traced: The traced network.
        maps: All its feature maps in the order in which they are computed.
        last: The feature map that the head reads.
        features: Where a new evidence layer goes. It is ``last`` but for networks that end in a convolution of
            their own and an activation: their last map holds class scores already.
        head: The head.
        opened: Modules that were taken apart.
        borrowed: Whether the head read something else than the mean of the map: a token of no place.
    """

    traced: fx.GraphModule
    maps: Sequence[FeatureMap]
    last: FeatureMap
    features: FeatureMap
    head: AffineHead | PointwiseHead
    opened: Collection[str] = ()
    borrowed: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether evidence on the map adds up to the logits of the network as it is."""
        return isinstance(self.head, AffineHead) and not self.borrowed


@dataclass(frozen=True)
class _View:
    """A network with some of its modules taken apart."""

    traced: fx.GraphModule
    shapes: Shapes
    maps: Sequence[FeatureMap]

    def tail(self, start: FeatureMap) -> list[fx.Node] | None:
        return graph.nodes_after(start.node, graph.output_node(self.traced))


def find_head(source: nn.Module, example: Tensor, larger: Tensor, expanded: Collection[str]) -> Found:
    """Find the last feature map; modules at the end of the network are taken apart until it is in sight.

    Args:
        source: The network, in eval mode.
        example: An image ``(1, C, H, W)`` that it accepts.
        larger: A larger one, which it may or may not accept, to tell what follows the size of the image.
        expanded: Names of modules to take apart in any case.

    Raises:
        ConversionError: The network does not end in something that can be replaced.
    """
    opened, closed = set(expanded), set[str]()
    view = _look(source, example, opened)
    while True:
        found = _affine(view)
        inner = None if found else _module_to_open(view, closed)
        if inner is None:
            found = found or _pointwise(view, example, larger)
            _check_order(found, example)
            return replace(found, opened=opened, borrowed=_reads_extra_tokens(view, found.last))
        try:
            view = _look(source, example, opened | {inner})
            opened.add(inner)
        except ConversionError:  # it stays whole
            closed.add(inner)


def _look(source: nn.Module, example: Tensor, opened: Collection[str]) -> _View:
    traced, shapes = trace(source, example, opened)
    return _View(traced, shapes, graph.feature_maps(traced, shapes, example.shape[2:]))


def _affine(view: _View) -> Found | None:
    """Return the earliest feature map from which the logits are affine in the mean, if there is one.

    The search ends at the first map that is followed by weights: a network that ends in a 1×1 convolution
    and pooling is affine from both sides of that convolution, and its weights are the evidence layer's.
    """
    best: tuple[FeatureMap, AffineHead] | None = None
    for start in reversed(view.maps):
        tail = view.tail(start)
        if tail is None:
            continue
        head = find_affine_head(view.traced, start, tail)
        best = best if head is None else (start, head)
        if best is None:
            return None
        if _has_weights(view.traced, tail):
            return Found(view.traced, view.maps, best[0], start, best[1])
    return None if best is None else Found(view.traced, view.maps, best[0], best[0], best[1])


def _has_weights(traced: fx.GraphModule, nodes: Sequence[fx.Node]) -> bool:
    modules = (traced.get_submodule(str(node.target)) for node in nodes if node.op == "call_module")
    return any(node.op == "get_attr" for node in nodes) or any(list(module.parameters()) for module in modules)


def _module_to_open(view: _View, closed: Collection[str]) -> str | None:
    """Return the last module that is made of others and gives no map: the end of the feature maps is inside."""
    maps = {found.node for found in view.maps}
    for node in reversed(view.traced.graph.nodes):
        if node in maps:
            return None
        name = str(node.target)
        if node.op == "call_module" and name not in closed and graph.has_children(view.traced.get_submodule(name)):
            return name
    return None


def _pointwise(view: _View, example: Tensor, larger: Tensor) -> Found:
    """Return the last feature map that follows the size of the input, with the layers behind it."""
    for start in reversed(_following(view, larger)):
        tail = view.tail(start)
        if tail is not None:
            head = build_pointwise_head(view.traced, start, tail, view.shapes)
            return Found(view.traced, view.maps, start, start, head)
    ending = [node for node in view.traced.graph.nodes if node.op.startswith("call_")][-4:]
    raise ConversionError(
        f"cannot convert {type(view.traced).__name__}: no feature map (N, C, h, w) alone feeds its output, which ends "
        f"in {graph.describe(view.traced, ending)}" + INSTEAD
    )


def _following(view: _View, larger: Tensor) -> Sequence[FeatureMap]:
    """Return the maps that grow with the input; all of them for a network for one size only."""
    try:
        shapes = graph.record_shapes(view.traced, larger)
    except Exception:  # any error of any layer says so
        return view.maps
    return [found for found in view.maps if shapes.get(found.node.name) != view.shapes[found.node.name]]


def _reads_extra_tokens(view: _View, start: FeatureMap) -> bool:
    """Return whether the head reads tokens that belong to no place, which evidence on the others cannot replace."""
    if start.layout.order is not Order.TOKENS or not start.layout.extra:
        return False
    as_it_is = replace(start, layout=replace(start.layout, order=Order.CHANNELS_FIRST))
    head = copy.deepcopy(graph.cut_tail(view.traced, as_it_is, view.tail(start) or []))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, *view.shapes[start.node.name][1:], generator=generator)
    with torch.no_grad():
        for parameter in head.parameters():  # weights of a new network may be 0 and hide what it reads
            parameter.normal_(generator=generator)
        before = head(tokens)
        tokens[:, : start.layout.extra] += 1 + tokens[:, : start.layout.extra].flip(-1)
        return not torch.equal(before, head(tokens))


def _check_order(found: Found, example: Tensor) -> None:
    """Make sure that tokens lie as the image does: a token changes most when its own place in the image changes.

    Raises:
        ConversionError: They lie in another order, so that a map of them would show things where they are not.
    """
    if found.last.layout.order is not Order.TOKENS:
        return
    rows, columns = found.last.shape[2:]
    places = [(rows * i // 8, columns * j // 8) for i, j in ((1, 1), (1, 6), (3, 4), (6, 1), (6, 6), (4, 2), (2, 4))]
    hits = 0
    backbone = graph.cut_backbone(found.traced, [found.last])
    with torch.no_grad():
        before = backbone(example)
        for row, column in places:
            change = (backbone(_changed(example, row / rows, column / columns, 1 / rows, 1 / columns)) - before).norm(
                dim=1
            )
            largest = int(change.argmax())
            hits += abs(largest // columns - row) <= rows // 8 and abs(largest % columns - column) <= columns // 8
    if 2 * hits <= len(places):
        raise ConversionError(
            f"cannot convert {type(found.traced).__name__}: the tokens of its last feature map ({found.last.label}) do "
            "not follow the order of the image" + INSTEAD
        )


def _changed(images: Tensor, top: float, left: float, height: float, width: float) -> Tensor:
    """Return ``images`` with noise in a rectangle, given in shares of their size."""
    y, x = round(top * images.shape[2]), round(left * images.shape[3])
    bottom, right = round((top + height) * images.shape[2]), round((left + width) * images.shape[3])
    changed = images.clone()
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    changed[:, :, y:bottom, x:right] += 2 * (images.std() or 1.0) * noise[:, :, y:bottom, x:right]
    return changed
