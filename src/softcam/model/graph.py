"""Looking at a network as a graph of its modules, and cutting that graph (torch.fx)."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from softcam.errors import ConversionError

INSTEAD = (
    "; give its feature extractor to softcam.SoftCAM(backbone, softcam.ClassEvidence(channels, num_classes)) instead"
)


class _ExpandingTracer(fx.Tracer):
    """Keeps every submodule whole, except those that are asked for: control flow inside blocks is no matter.

    Unpickling a traced network makes one without arguments.
    """

    def __init__(self, expanded: Collection[str] = ()) -> None:
        super().__init__()
        self._expanded = expanded

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name not in self._expanded


def trace(network: nn.Module, expanded: Collection[str] = ()) -> fx.GraphModule:
    """Trace ``network`` with its direct children as single nodes, those named in ``expanded`` taken apart.

    The result shares the submodules of ``network``. Arguments with a default keep it.

    Raises:
        ConversionError: The forward method cannot be traced, for example because it branches on values.
    """
    tracer = _ExpandingTracer(expanded)
    parameters = list(inspect.signature(network.forward).parameters.values())[1:]
    fixed = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    try:
        graph = tracer.trace(network, concrete_args=fixed or None)
        if fixed:
            _drop_fixed_inputs(graph)
    except Exception as error:
        raise ConversionError(
            f"cannot convert {type(network).__name__}: torch.fx cannot trace its forward method ({first_line(error)})"
            + INSTEAD
        ) from error
    traced = fx.GraphModule(tracer.root, graph, type(network).__name__)
    _restore_dropout(traced)
    return traced


def first_line(error: Exception) -> str:
    """Return what an error says, without the lines of detail behind it."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _drop_fixed_inputs(graph: fx.Graph) -> None:
    """Remove the inputs that tracing has fixed to their defaults, and the checks on them."""
    graph.set_codegen(fx.graph.CodeGen())
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    for node in inputs[1:]:
        for user in list(node.users):
            graph.erase_node(user)
        graph.erase_node(node)


def _restore_dropout(traced: fx.GraphModule) -> None:
    """Replace dropout calls, whose ``training`` flag tracing has fixed, by modules that follow the mode."""
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target is torch.nn.functional.dropout:
            p = node.args[1] if len(node.args) > 1 else node.kwargs.get("p", 0.5)
            traced.add_submodule(node.name, nn.Dropout(p).eval())
            with traced.graph.inserting_after(node):
                replacement = traced.graph.call_module(
                    node.name, (node.args[0] if node.args else node.kwargs["input"],)
                )
            node.replace_all_uses_with(replacement)
            traced.graph.erase_node(node)
    traced.recompile()


class _ShapeRecorder(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n.name] = tuple(result.shape)
        return result


def record_shapes(traced: fx.GraphModule, example: Tensor) -> dict[str, tuple[int, ...]]:
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


def node_label(node: fx.Node) -> str:
    """Return what a user calls this node: the module's name, or the node's own."""
    return str(node.target) if node.op == "call_module" else node.name


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
    """Return the nodes that compute ``end`` from ``start`` alone, in order; None if ``end`` needs more."""
    needed: set[fx.Node] = set()
    pending = [end]
    while pending:
        node = pending.pop()
        if node is start or node in needed:
            continue
        if node.op == "placeholder":
            return None
        needed.add(node)
        pending.extend(node.all_input_nodes)
    return [node for node in start.graph.nodes if node in needed]


def cut_tail(traced: fx.GraphModule, start: fx.Node, tail: Sequence[fx.Node]) -> fx.GraphModule:
    """Return the part of the network behind ``start`` as a module of its own, a function of that one tensor."""
    graph = fx.Graph()
    copies = {start: graph.placeholder("features")}
    for node in tail:
        copies[node] = graph.node_copy(node, lambda old: copies[old])
    graph.output(copies[tail[-1]] if tail else copies[start])
    return fx.GraphModule(traced, graph, "Head")


def cut_backbone(traced: fx.GraphModule, stages: Sequence[fx.Node]) -> fx.GraphModule:
    """Make the graph return the values of ``stages`` (one alone as a tensor) and drop what they don't need."""
    graph = traced.graph
    output = next(node for node in graph.nodes if node.op == "output")
    output.args = (stages[0] if len(stages) == 1 else tuple(stages),)
    graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def has_children(module: nn.Module) -> bool:
    """Return whether ``module`` is made of others, so that taking it apart shows more."""
    return any(True for _ in module.children())
