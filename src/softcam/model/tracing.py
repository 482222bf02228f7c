"""Turning a network into a graph of its modules (torch.fx), with the values of one example at hand.

Tracing without values stops at the first ``if`` on a size. Here every node is computed on an example as it is
recorded, so such a question has an answer; the graph keeps the question and refuses images that answer it otherwise.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import handle_torch_function, has_torch_function

from softcam.errors import ConfigError, ConversionError

INSTEAD = (
    "; give its feature extractor to softcam.SoftCAM(backbone, softcam.ClassEvidence(channels, num_classes)) instead"
)
_NETWORK = "network"
Shapes = dict[str, tuple[int, ...]]


@fx.has_side_effect
def same_path(answer: object, expected: bool) -> None:
    """Refuse images for which the network would take another path than the one that was traced.

    Raises:
        ConfigError: ``answer`` is not what the example gave.
    """
    if has_torch_function((answer,)):
        handle_torch_function(same_path, (answer,), answer, expected)
    elif bool(answer) != expected:
        raise ConfigError(
            "the network treats images of this size differently from the example that it was converted with; "
            "pass convert(..., example=...) an image of this size"
        )


class _ExampleError(Exception):
    """The network does not accept the example."""


class _Value(fx.Proxy):
    """Knows how many entries a list has, which tracing alone does not; the length of a tensor is no constant."""

    def __len__(self) -> int:
        tracer = self.tracer
        assert isinstance(tracer, _ValueTracer)
        value = tracer.values[self.node]
        return super().__len__() if isinstance(value, Tensor) else len(value)


class _ValueTracer(fx.Tracer):
    """Keeps every submodule whole, except those named in ``expanded``, and computes each node on ``example``."""

    def __init__(self, example: Tensor, expanded: Collection[str]) -> None:
        super().__init__()
        self.values: dict[fx.Node, Any] = {}
        self._example = example
        self._expanded = {_NETWORK, *(f"{_NETWORK}.{name}" for name in expanded)}
        self._computing = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name not in self._expanded

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Value(node, self)

    def create_node(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> fx.Node:
        node: fx.Node = super().create_node(kind, target, args, kwargs, *rest, **more)
        if kind != "output":
            self._computing = True
            try:
                self.values[node] = self._compute(node)
            except Exception as error:
                raise _ExampleError(first_line(error)) from error
            finally:
                self._computing = False
        return node

    def _compute(self, node: fx.Node) -> Any:
        args = _thawed(fx.node.map_arg(node.args, self.values.__getitem__))
        kwargs = _thawed(fx.node.map_arg(node.kwargs, self.values.__getitem__))
        match node.op:
            case "placeholder":
                return self._example
            case "get_attr":
                return operator.attrgetter(str(node.target))(self.root)
            case "call_module":
                return self.root.get_submodule(str(node.target))(*args, **kwargs)
            case "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            case _:
                assert callable(node.target)
                return node.target(*args, **kwargs)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if self._computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._computing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def to_bool(self, obj: fx.Proxy) -> bool:
        answer = self.values[obj.node]
        if isinstance(answer, Tensor):
            return super().to_bool(obj)
        self.create_proxy("call_function", same_path, (obj, bool(answer)), {})
        return bool(answer)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        value = self.values[obj.node]
        if isinstance(value, (tuple, list)):
            return iter([operator.getitem(obj, position) for position in range(len(value))])
        return super().iter(obj)


def _thawed(value: Any) -> Any:
    """Return plain lists and dictionaries for those of a graph, which networks that change them do not accept."""
    if type(value) is fx.immutable_collections.immutable_dict:
        return {key: _thawed(entry) for key, entry in value.items()}
    if type(value) in (tuple, fx.immutable_collections.immutable_list):
        return tuple(map(_thawed, value)) if isinstance(value, tuple) else list(map(_thawed, value))
    return value


class _Root(nn.Module):
    """Calls a network with nothing but images, and takes the logits where it returns more."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        return logits_of(self.network(images))


def logits_of(output: Any) -> Any:
    """Return the logits of what a classifier returns: itself, or the entry of that name (``transformers``)."""
    return output["logits"] if isinstance(output, Mapping) and "logits" in output else output


def trace(network: nn.Module, example: Tensor, expanded: Collection[str] = ()) -> tuple[fx.GraphModule, Shapes]:
    """Trace ``network`` with its direct children as single nodes, those named in ``expanded`` taken apart.

    Args:
        network: In eval mode. The result shares its submodules.
        example: One image ``(1, C, H, W)`` that it accepts.
        expanded: Names of modules.

    Returns:
        The traced network and the shape of every node that gives a tensor.

    Raises:
        ConversionError: The network fails on the example, or branches on the content of an image.
    """
    name = type(network).__name__
    tracer = _ValueTracer(example, expanded)
    try:
        with torch.no_grad():
            graph = tracer.trace(_Root(network))
    except _ExampleError as error:
        raise ConversionError(
            f"cannot convert {name}: it fails on an input of shape {tuple(example.shape)} ({error}); "
            "pass convert(..., example=...) an input that it accepts"
        ) from error
    except Exception as error:
        raise ConversionError(
            f"cannot convert {name}: torch.fx cannot trace its forward method ({first_line(error)})" + INSTEAD
        ) from error
    parts = {}
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            part = operator.attrgetter(node.target)(tracer.root)
            node.target = node.target.removeprefix(_NETWORK + ".")
            parts[node.target] = part
    plain, copies = fx.Graph(), dict[fx.Node, fx.Node]()  # one that forgets the tracer, which pickling would call
    plain.output(plain.graph_copy(graph, copies))
    values = {copies[node].name: value for node, value in tracer.values.items() if node in copies}
    shapes = {node: tuple(value.shape) for node, value in values.items() if isinstance(value, Tensor)}
    traced = fx.GraphModule(parts, plain, name).eval()
    _restore_dropout(traced, shapes)
    return traced, shapes


def first_line(error: Exception) -> str:
    """Return what an error says, without the lines of detail behind it."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _restore_dropout(traced: fx.GraphModule, shapes: Shapes) -> None:
    """Replace dropout calls, whose ``training`` flag tracing has fixed, by modules that follow the mode."""
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target is torch.nn.functional.dropout:
            p = node.args[1] if len(node.args) > 1 else node.kwargs.get("p", 0.5)
            traced.add_submodule(node.name, nn.Dropout(p).eval())
            with traced.graph.inserting_after(node):
                replacement = traced.graph.call_module(
                    node.name, (node.args[0] if node.args else node.kwargs["input"],)
                )
            shapes[replacement.name] = shapes[node.name]
            node.replace_all_uses_with(replacement)
            traced.graph.erase_node(node)
    traced.recompile()
