"""Black box in, SoftCAM out."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softcam.errors import ConfigError
from softcam.model import graph
from softcam.model.dilation import dilate
from softcam.model.evidence import ClassEvidence, SoftCAM
from softcam.model.fusion import TopDownFusion
from softcam.model.graph import FeatureMap
from softcam.model.heads import AffineHead
from softcam.model.pointwise import PointwiseHead
from softcam.model.report import ConversionReport
from softcam.model.search import Found, find_head
from softcam.model.source import Source
from softcam.model.task import Task
from softcam.model.tracing import logits_of

_TOLERANCE = 1e-4


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
    source = Source.of(model, example)
    network = source.network
    if output_stride is not None:
        network = copy.deepcopy(network)
        dilate(network, output_stride, source.example)
    found = find_head(network, source.example, source.larger, _containers(network, stages))
    converted = _build(source, found, num_classes, _Evidence(stages, fusion, power, output_stride), task)
    source.restore(converted.backbone, converted.fusion, converted.evidence)
    converted.training = converted.backbone.training
    return converted


def _containers(source: nn.Module, stages: Sequence[str] | int | None) -> set[str]:
    """Return the modules to take apart so that ``stages`` come into sight."""
    names = dict(source.named_modules())
    if stages is None:
        return set()
    if isinstance(stages, int):
        return {name for name, module in names.items() if name and type(module).forward is nn.Sequential.forward}
    return {".".join(s.split(".")[:i]) for s in stages for i in range(1, s.count(".") + 1) if s in names}


def _build(source: Source, found: Found, num_classes: int | None, wanted: _Evidence, task: Task | None) -> SoftCAM:
    head, classes = found.head, num_classes or found.head.num_classes
    reads_head = classes == head.num_classes and not wanted.is_new
    last = found.last if reads_head else found.features
    maps = _stage_maps(found, wanted.stages, last, source.example.shape)
    channels = tuple(stage.shape[1] for stage in maps)
    widths = channels if wanted.fusion is None else (wanted.fusion,)
    layers = [ClassEvidence(width, classes, dims=head.dims, power=wanted.power) for width in widths]
    if maps[-1] is last and not wanted.is_new:
        layers[-1] = _head_evidence(head, classes, channels[-1])
    keeps_weights = reads_head and maps[-1] is last is found.last
    if keeps_weights:
        for layer in layers[:-1]:
            nn.init.zeros_(layer.classes.weight)
            nn.init.zeros_(layer.classes.bias)  # type: ignore[arg-type]
    backbone = graph.cut_backbone(found.traced, maps)
    fusion = None if wanted.fusion is None else TopDownFusion(channels, wanted.fusion, head.dims)
    converted = SoftCAM(backbone, layers, task=task or Task.infer(classes), fusion=fusion).eval()
    difference = _difference(source, converted) if keeps_weights else math.nan
    converted.report = ConversionReport(
        exact=found.is_exact and wanted.output_stride is None and difference <= _TOLERANCE,
        max_difference=difference,
        head=head.description,
        reason=_reason(found, classes, wanted, keeps_weights, last.label),
        stages=tuple(stage.label for stage in maps),
        feature_channels=channels,
    )
    return converted


def _head_evidence(head: AffineHead | PointwiseHead, classes: int, channels: int) -> ClassEvidence:
    if isinstance(head, PointwiseHead):
        return head.copied_evidence() if classes == head.num_classes else head.new_evidence(classes)
    if classes == head.num_classes:
        return head.exact_evidence()
    return ClassEvidence(channels, classes, dropout=head.dropout, dims=head.dims)


def _reason(found: Found, classes: int, wanted: _Evidence, keeps_weights: bool, last: str) -> str:
    if wanted.fusion is not None:
        return f"the evidence layer is new: it reads a fusion of the stages with {wanted.fusion} channels; train it"
    if wanted.power != 1:
        return f"the evidence layer is new: its answers are raised to the power {wanted.power:g}; train it"
    if classes != found.head.num_classes:
        return f"the evidence layer is new: {classes} classes instead of {found.head.num_classes}; train it"
    if not keeps_weights:
        return f"the evidence layer is new: the head reads {last}, not the last stage; train it"
    if wanted.output_stride is not None:
        return f"strides beyond {wanted.output_stride} became dilations; fine-tune the network"
    if found.borrowed:
        return "the head read a token of no place; it is applied to those of the image: fine-tune the network"
    if found.is_exact:
        return "the head is affine in the spatial mean and commutes with pooling"
    return "the head is not linear, so it is applied at each place before pooling; fine-tune the network"


def _stage_maps(
    found: Found, stages: Sequence[str] | int | None, last: FeatureMap, image: Sequence[int]
) -> list[FeatureMap]:
    """Return the feature maps of the wanted stages in the order in which they are computed."""
    if stages is None:
        return [last]
    if isinstance(stages, int):
        return _pyramid(found.maps, stages, image)
    if len(set(stages)) != len(stages) or not stages:
        raise ConfigError(f"convert: stages is {tuple(stages)!r}; name one or more different modules")
    labels = {stage.label: stage for stage in found.maps}
    for stage in stages:
        if stage not in labels:
            raise ConfigError(f"convert: no feature map comes from {stage!r}; choose from {', '.join(labels)}")
    return [stage for label, stage in labels.items() if label in stages]


def _pyramid(maps: Sequence[FeatureMap], coarsest: int, image: Sequence[int]) -> list[FeatureMap]:
    """Return the last feature map of every stride from 2 to ``coarsest``."""
    strides = [round(image[-1] / stage.shape[-1]) for stage in maps]
    by_stride = {stride: stage for stride, stage in zip(strides, maps, strict=True) if 2 <= stride <= coarsest}
    if not by_stride:
        found = ", ".join(map(str, sorted(set(strides))))
        raise ConfigError(f"convert: no feature map has a stride of 2 to {coarsest} (stages); there are {found}")
    return [by_stride[stride] for stride in sorted(by_stride)]


def _difference(source: Source, converted: SoftCAM) -> float:
    """Return the largest difference of logits at two input sizes, relative to the logits where these exceed 1."""
    differences = []
    for images in source.probes():
        with torch.no_grad(), suppress(ConfigError):  # the converted network may be for the size of the example only
            logits, expected = converted(images), logits_of(source.network(images))
            differences.append(float((logits - expected).abs().max() / expected.abs().max().clamp(min=1)))
    return max(differences)
