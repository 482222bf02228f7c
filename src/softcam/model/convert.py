"""Black box in, SoftCAM out."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from softcam.errors import ConfigError, ConversionError
from softcam.model import graph
from softcam.model.dilation import dilate
from softcam.model.evidence import ClassEvidence, SoftCAM, first_convolution
from softcam.model.fusion import TopDownFusion
from softcam.model.heads import AffineHead, PointwiseHead, build_pointwise_head, find_affine_head
from softcam.model.report import ConversionReport
from softcam.model.task import Task

_TOLERANCE = 1e-4
_DEFAULT_SIZE = 224


@dataclass(frozen=True)
class _Found:
    """The last feature map of a network and the head behind it.

    ``features`` is where a new evidence layer goes. It is ``node`` but for networks that end in a convolution of
    their own and an activation: their last map holds class scores already.
    """

    traced: fx.GraphModule
    shapes: dict[str, tuple[int, ...]]
    node: fx.Node
    features: fx.Node
    head: AffineHead | PointwiseHead


@dataclass(frozen=True)
class _Evidence:
    """Where the evidence layers go and of what kind they are, as :func:`convert` was asked."""

    stages: Sequence[str] | int | None
    fusion: int | None
    power: float
    output_stride: int | None

    @property
    def is_new(self) -> bool:
        """Whether no weights of a head can serve."""
        return self.fusion is not None or self.power != 1


def convert(
    model: nn.Module,
    num_classes: int | None = None,
    *,
    task: Task | None = None,
    stages: Sequence[str] | int | None = None,
    fusion: int | None = None,
    power: float = 1.0,
    output_stride: int | None = None,
    example: Tensor | None = None,
) -> SoftCAM:
    """Turn a classifier into a :class:`softcam.SoftCAM`: its pooling and head become a class evidence layer.

    The head is found by looking at the network, not at its name: the last feature map ``(N, D, h, w)`` is
    sought from the output backwards, and what follows it is probed with numbers. A head that is affine in the
    spatial mean (global average pooling and a linear layer, with or without dropout, norms, 1×1 convolutions)
    commutes with pooling: its weights become 1×1 kernels and the logits stay what they were
    (Djoumessi & Berens 2026, section 3). Other heads (VGG's three linear layers, MobileNetV3, ConvNeXt) are
    applied at every place before pooling; their logits change, the report says by how much, and the network
    needs fine-tuning.

    Args:
        model: The classifier; it is not modified. Device, dtype and train or eval mode carry over.
        num_classes: Number K of classes. None, or what the model has, keeps the weights of the head; another
            number makes a new evidence layer, to be trained.
        task: How logits become probabilities; by default softmax, for a single class sigmoid.
        stages: Names of the modules whose output carries evidence, for example
            ``("layer2", "layer3", "layer4")``; by default the last feature map alone. Earlier stages of an
            exact conversion start with zero weights, so that the logits are still the same. A number takes the last
            feature map of every resolution from stride 2 up to that stride: 4 is ``("relu", "layer1")`` of a ResNet.
            What lies behind the last stage is dropped.
        fusion: Channels of a top-down fusion of the stages under one evidence layer (see
            :class:`softcam.model.fusion.TopDownFusion`), new and to be trained; by default every stage has an
            evidence layer of its own.
        power: Exponent of the evidence layer (see :class:`softcam.model.evidence.ClassEvidence`); above 1 the layer
            is new and to be trained.
        output_stride: Pixels of the image per cell of the last feature map, 8 or 16: later strides become dilations,
            with the same weights, and the report says how far the logits moved. None leaves the network's own.
        example: An input ``(N, C, H, W)`` that the model accepts; by default random images of 224 px with as
            many channels as the first convolution takes.

    Returns:
        The converted network, with ``.report`` saying what was found and how far the logits moved.

    Raises:
        ConversionError: The network does not end in something that can be replaced; the message says what
            was found at its end and what to do.
        ConfigError: ``num_classes``, ``stages``, ``fusion``, ``power`` or ``output_stride`` makes no sense.

    Example:
        >>> import softcam, torchvision
        >>> model = softcam.convert(torchvision.models.resnet18())
        >>> model.report.exact
        True
    """
    if num_classes is not None and num_classes < 1:
        raise ConfigError(f"convert: num_classes is {num_classes}; a classifier has at least 1")
    source = copy.deepcopy(_unwrapped(model))
    modes = {name: module.training for name, module in source.named_modules()}
    places = {name: (t.device, t.dtype) for name, t in _named_tensors(source)}
    source = source.eval().to("cpu")
    for _, tensor in _named_tensors(source):
        if tensor.is_floating_point():
            tensor.data = tensor.data.float()

    example = _example(source, example)
    network = source
    if output_stride is not None:
        network = copy.deepcopy(source)
        dilate(network, output_stride, example)
    found = _find_head(network, example, _containers(network, stages))
    converted = _build(source, found, num_classes, _Evidence(stages, fusion, power, output_stride), task, example)
    _restore(converted, modes, places)
    return converted


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return the network itself where it is compiled or wrapped for parallel training."""
    if isinstance(model, SoftCAM):
        raise ConversionError("this network is a SoftCAM already; use it as it is")
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner: nn.Module = model.module
        return inner
    original: nn.Module = getattr(model, "_orig_mod", model)
    return original


def _named_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _example(source: nn.Module, example: Tensor | None) -> Tensor:
    if example is not None:
        return example.detach().to("cpu", torch.float32)[:1]
    first = first_convolution(source)
    if first is None:
        raise ConversionError(f"cannot convert {type(source).__name__}: it has no convolution" + graph.INSTEAD)
    dims = len(first.kernel_size)
    size = _DEFAULT_SIZE if dims < 3 else 96
    return _noise(1, first.in_channels, *[size] * dims)


def _noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _larger(example: Tensor) -> Tensor:
    """Return noise that is larger by two cells of the usual last map, to tell what follows the size of the input."""
    more = 64 if example.dim() < 5 else 32
    return _noise(*example.shape[:2], *(length + more for length in example.shape[2:]))


def _containers(source: nn.Module, stages: Sequence[str] | int | None) -> set[str]:
    """Return the modules to take apart so that ``stages`` come into sight."""
    names = dict(source.named_modules())
    if stages is None:
        return set()
    if isinstance(stages, int):
        return {name for name, module in names.items() if name and type(module).forward is nn.Sequential.forward}
    return {".".join(s.split(".")[:i]) for s in stages for i in range(1, s.count(".") + 1) if s in names}


def _find_head(source: nn.Module, example: Tensor, expanded: set[str]) -> _Found:
    """Find the last feature map; modules at the end of the network are taken apart until it is in sight."""
    while True:
        traced = graph.trace(source, expanded)
        shapes = _probe(traced, example)
        found = _affine_candidate(traced, shapes, example.dim())
        if found is not None:
            return found
        inner = _module_to_expand(traced, shapes, example.dim())
        if inner is None:
            return _pointwise_candidate(traced, shapes, example)
        expanded = expanded | {inner}


def _probe(traced: fx.GraphModule, example: Tensor) -> dict[str, tuple[int, ...]]:
    try:
        return graph.record_shapes(traced, example)
    except Exception as error:
        raise ConversionError(
            f"cannot convert {type(traced).__name__}: it fails on an input of shape {tuple(example.shape)} "
            f"({graph.first_line(error)}); pass convert(..., example=...) an input that it accepts"
        ) from error


def _feature_maps(traced: fx.GraphModule, shapes: dict[str, tuple[int, ...]], dims: int) -> list[fx.Node]:
    """Return the nodes with a map of more than one cell, last first."""
    maps = [n for n in traced.graph.nodes if n.op != "placeholder" and len(shapes.get(n.name, ())) == dims]
    return [node for node in reversed(maps) if math.prod(shapes[node.name][2:]) > 1]


def _affine_candidate(traced: fx.GraphModule, shapes: dict[str, tuple[int, ...]], dims: int) -> _Found | None:
    """Return the earliest feature map from which the logits are affine in the mean, if there is one.

    The search ends at the first map that is followed by weights: a network that ends in a 1×1 convolution
    and pooling is affine from both sides of that convolution, and its weights are the evidence layer's.
    """
    output = graph.output_node(traced)
    best: tuple[fx.Node, AffineHead] | None = None
    for node in _feature_maps(traced, shapes, dims):
        tail = graph.nodes_after(node, output)
        if tail is None:
            continue
        head = find_affine_head(traced, node, tail, shapes[node.name])
        best = best if head is None else (node, head)
        if best is None:
            return None
        if _has_weights(traced, tail):
            return _Found(traced, shapes, best[0], node, best[1])
    return None if best is None else _Found(traced, shapes, best[0], best[0], best[1])


def _has_weights(traced: fx.GraphModule, nodes: Sequence[fx.Node]) -> bool:
    modules = (traced.get_submodule(str(node.target)) for node in nodes if node.op == "call_module")
    return any(node.op == "get_attr" for node in nodes) or any(list(module.parameters()) for module in modules)


def _module_to_expand(traced: fx.GraphModule, shapes: dict[str, tuple[int, ...]], dims: int) -> str | None:
    """Return the last module that is made of others and gives vectors: the end of the feature maps is inside."""
    for node in reversed(traced.graph.nodes):
        shape = shapes.get(node.name, ())
        is_map = len(shape) == dims and math.prod(shape[2:]) > 1
        if is_map:
            return None
        if node.op == "call_module" and graph.has_children(traced.get_submodule(str(node.target))):
            return str(node.target)
    return None


def _pointwise_candidate(traced: fx.GraphModule, shapes: dict[str, tuple[int, ...]], example: Tensor) -> _Found:
    """Return the last feature map that follows the size of the input, with the layers behind it."""
    output = graph.output_node(traced)
    maps = _feature_maps(traced, shapes, example.dim())
    try:
        larger = graph.record_shapes(traced, _larger(example))
        maps = [node for node in maps if larger.get(node.name) != shapes[node.name]]
    except Exception:  # a network for one size only: any error of any layer says so
        pass
    for node in maps:
        tail = graph.nodes_after(node, output)
        if tail is not None:
            head = build_pointwise_head(traced, node, tail, shapes)
            return _Found(traced, shapes, node, node, head)
    ending = [node for node in traced.graph.nodes if node.op.startswith("call_")][-4:]
    raise ConversionError(
        f"cannot convert {type(traced).__name__}: no feature map (N, C, h, w) alone feeds its output, which ends in "
        f"{graph.describe(traced, ending)}" + graph.INSTEAD
    )


def _build(
    source: nn.Module,
    found: _Found,
    num_classes: int | None,
    wanted: _Evidence,
    task: Task | None,
    example: Tensor,
) -> SoftCAM:
    head, classes = found.head, num_classes or found.head.num_classes
    reads_head = classes == head.num_classes and not wanted.is_new
    last = found.node if reads_head else found.features
    nodes = _stage_nodes(found, wanted.stages, last, example)
    channels = tuple(found.shapes[node.name][1] for node in nodes)
    widths = channels if wanted.fusion is None else (wanted.fusion,)
    layers = [ClassEvidence(width, classes, dims=head.dims, power=wanted.power) for width in widths]
    if nodes[-1] is last and not wanted.is_new:
        layers[-1] = _head_evidence(head, classes, channels[-1])
    keeps_weights = reads_head and nodes[-1] is last is found.node
    if keeps_weights:
        for layer in layers[:-1]:
            nn.init.zeros_(layer.classes.weight)
            nn.init.zeros_(layer.classes.bias)  # type: ignore[arg-type]
    labels = tuple(graph.node_label(node) for node in nodes)
    backbone = graph.cut_backbone(found.traced, nodes)
    fusion = None if wanted.fusion is None else TopDownFusion(channels, wanted.fusion, head.dims)
    converted = SoftCAM(backbone, layers, task=task or Task.infer(classes), fusion=fusion).eval()
    difference = _difference(source, converted, example) if keeps_weights else math.nan
    converted.report = ConversionReport(
        exact=isinstance(head, AffineHead) and wanted.output_stride is None and difference <= _TOLERANCE,
        max_difference=difference,
        head=head.description,
        reason=_reason(head, classes, wanted, keeps_weights, graph.node_label(last)),
        stages=labels,
        feature_channels=channels,
    )
    return converted


def _head_evidence(head: AffineHead | PointwiseHead, classes: int, channels: int) -> ClassEvidence:
    if isinstance(head, PointwiseHead):
        return head.copied_evidence() if classes == head.num_classes else head.new_evidence(classes)
    if classes == head.num_classes:
        return head.exact_evidence()
    return ClassEvidence(channels, classes, dropout=head.dropout, dims=head.dims)


def _reason(head: AffineHead | PointwiseHead, classes: int, wanted: _Evidence, keeps_weights: bool, last: str) -> str:
    if wanted.fusion is not None:
        return f"the evidence layer is new: it reads a fusion of the stages with {wanted.fusion} channels; train it"
    if wanted.power != 1:
        return f"the evidence layer is new: its answers are raised to the power {wanted.power:g}; train it"
    if classes != head.num_classes:
        return f"the evidence layer is new: {classes} classes instead of {head.num_classes}; train it"
    if not keeps_weights:
        return f"the evidence layer is new: the head reads {last}, not the last stage; train it"
    if wanted.output_stride is not None:
        return f"strides beyond {wanted.output_stride} became dilations; fine-tune the network"
    if isinstance(head, AffineHead):
        return "the head is affine in the spatial mean and commutes with pooling"
    return "the head is not linear, so it is applied at each place before pooling; fine-tune the network"


def _stage_nodes(found: _Found, stages: Sequence[str] | int | None, last: fx.Node, example: Tensor) -> list[fx.Node]:
    """Return the nodes of the wanted stages in the order in which they are computed."""
    if stages is None:
        return [last]
    maps = list(reversed(_feature_maps(found.traced, found.shapes, example.dim())))
    if isinstance(stages, int):
        return _pyramid(maps, found.shapes, stages, example.shape)
    if len(set(stages)) != len(stages) or not stages:
        raise ConfigError(f"convert: stages is {tuple(stages)!r}; name one or more different modules")
    labels = {graph.node_label(node): node for node in maps}
    for stage in stages:
        if stage not in labels:
            raise ConfigError(f"convert: no feature map comes from {stage!r}; choose from {', '.join(labels)}")
    return [node for label, node in labels.items() if label in stages]


def _pyramid(
    maps: Sequence[fx.Node], shapes: dict[str, tuple[int, ...]], coarsest: int, image: Sequence[int]
) -> list[fx.Node]:
    """Return the last feature map of every stride from 2 to ``coarsest``."""
    strides = {node: round(image[-1] / shapes[node.name][-1]) for node in maps}
    by_stride = {stride: node for node, stride in strides.items() if 2 <= stride <= coarsest}
    if not by_stride:
        found = ", ".join(map(str, sorted(set(strides.values()))))
        raise ConfigError(f"convert: no feature map has a stride of 2 to {coarsest} (stages); there are {found}")
    return [by_stride[stride] for stride in sorted(by_stride)]


def _difference(source: nn.Module, converted: SoftCAM, example: Tensor) -> float:
    """Return the largest difference of logits at two input sizes, relative to the logits where these exceed 1."""
    inputs = [example, _noise(2, *example.shape[1:])]
    if _accepts(source, _larger(example)):
        inputs.append(_larger(example))
    with torch.no_grad():
        pairs = [(converted(images), source(images)) for images in inputs]
    return max(float((got - want).abs().max() / want.abs().max().clamp(min=1)) for got, want in pairs)


def _accepts(network: nn.Module, images: Tensor) -> bool:
    try:
        with torch.no_grad():
            network(images)
    except Exception:  # a network for one size only: any error of any layer says so
        return False
    return True


def _restore(converted: SoftCAM, modes: dict[str, bool], places: dict[str, tuple[torch.device, torch.dtype]]) -> None:
    """Give every module its mode, and every tensor its device and dtype, back."""
    device, dtype = next(iter(places.values()), (torch.device("cpu"), torch.float32))
    for new in (converted.evidence, converted.fusion):
        if new is not None:
            new.to(device, dtype if dtype.is_floating_point else torch.float32).train(modes[""])
    for name, tensor in _named_tensors(converted.backbone):
        if name in places:
            tensor.data = tensor.data.to(*places[name])
    for name, module in converted.backbone.named_modules():
        module.training = modes.get(name, modes[""])
    converted.training = modes[""]
