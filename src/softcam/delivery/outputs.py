"""What an exported network gives, and what is written into it for those who use it without softcam."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import reduce

import torch
from torch import Tensor, nn

from softcam.model.checkpoint import ModelCard
from softcam.model.evidence import Evidence, SoftCAM
from softcam.model.resample import overlap_weights
from softcam.model.task import Task

FORMAT = 1
INPUT = "images"


class Output(StrEnum):
    """The outputs of an exported network, in their order.

    Attributes:
        LOGITS: ``(N, K)``.
        PROBABILITIES: ``(N, K)`` in [0, 1].
        CONTRAST: Maps ``(N, K, h, w)`` to show: the part of the evidence that the probabilities see.
        EVIDENCE: Maps ``(N, K, h, w)`` that add up: ``evidence.mean((2, 3)) + bias = logits``.
    """

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    CONTRAST = "contrast"
    EVIDENCE = "evidence"


class ExportedNetwork(nn.Module):
    """A network with the signature that is exported: images in, all outputs by name out.

    Args:
        model: What is exported.
    """

    def __init__(self, model: SoftCAM) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return all of `Output` for images ``(N, C, H, W)``."""
        maps, bias = _combined(self.model.stage_maps(images)), self.model.bias
        evidence = Evidence(maps - bias.view(1, -1, 1, 1), maps.mean((2, 3)), bias, self.model.task)
        return {
            Output.LOGITS.value: evidence.logits,
            Output.PROBABILITIES.value: evidence.probabilities,
            Output.CONTRAST.value: evidence.contrast(),
            Output.EVIDENCE.value: evidence.maps,
        }


def meanings(card: ModelCard) -> dict[str, str]:
    """Say in words what goes in and what each output is.

    Args:
        card: Of the exported model.
    """
    size = "x".join(map(str, card.preprocessing["size"]))
    function = "softmax over k" if card.task is Task.MULTICLASS else "sigmoid"
    return {
        INPUT: (
            "float32 (N, C, H, W): pixels in [0, 1], grey repeated to C channels or RGB, the whole image resized to "
            f"{size} (H x W, bilinear with antialiasing), minus mean, divided by std, channel by channel"
        ),
        Output.LOGITS: "float32 (N, K): logit of each class, evidence.mean over (h, w) + bias",
        Output.PROBABILITIES: f"float32 (N, K) in [0, 1]: {function} of the logits",
        Output.CONTRAST: (
            f"float32 (N, K, h, w), the maps to draw: {_contrast(card)}. In logits, above 0 for the class and below 0 "
            "against it; draw with one fixed symmetric scale for all images, never stretched to the range of one. "
            "Cell (i, j) covers rows i*H/h to (i+1)*H/h and columns j*W/w to (j+1)*W/w of the image"
        ),
        Output.EVIDENCE: (
            "float32 (N, K, h, w): evidence map of each class in logits, without bias; "
            "logits = evidence.mean over (h, w) + bias, exactly"
        ),
    }


def metadata(card: ModelCard, model: SoftCAM) -> dict[str, str]:
    """Return what is written into the file beside the network; lists and numbers are JSON.

    Args:
        card: Of the exported model.
        model: What is exported.

    Returns:
        ``softcam_format``; ``classes`` (all class names), ``outputs`` (the name that each of the K channels speaks
        for), ``task``, ``bias`` (K numbers); ``size``, ``channels``, ``mean`` and ``std`` of the preprocessing; one
        sentence for the input and for each output, under its name; and ``card``, the whole card.
    """
    values: Mapping[str, object] = {
        "softcam_format": FORMAT,
        "classes": card.classes,
        "outputs": card.output_names,
        "bias": model.bias.detach().double().tolist(),
        **card.preprocessing,
    }
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    return {**texts, "task": card.task.value, **{str(k): v for k, v in meanings(card).items()}, "card": card.to_json()}


def _combined(stages: Sequence[Tensor]) -> Tensor:
    """Add maps of several stages as the model does, in operations that torch 2.6 exports with free sizes."""
    finest = max(stages, key=lambda stage: math.prod(stage.shape[2:]))
    others = [_resampled(stage, finest.shape[2:]) for stage in stages if stage is not finest]
    return reduce(operator.add, others, finest)


def _resampled(maps: Tensor, size: Sequence[int]) -> Tensor:
    rows, columns = (overlap_weights(*lengths, like=maps) for lengths in zip(maps.shape[2:], size, strict=True))
    return torch.einsum("nkiw,wj->nkij", torch.einsum("nkhw,hi->nkiw", maps, rows), columns)


def _contrast(card: ModelCard) -> str:
    if card.task is not Task.MULTICLASS:
        return "the evidence of each class, which its own probability sees as it is"
    if len(card.classes) == 2:
        return "the evidence of each class minus that of the other, which is all that the softmax sees"
    return "the evidence of each class minus the mean over all classes, which is all that the softmax sees"
