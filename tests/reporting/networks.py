"""Models whose evidence can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from softcam.data.preprocessing import Preprocessing
from softcam.model.checkpoint import Checkpoint, Head, ModelCard
from softcam.model.evidence import ClassEvidence, SoftCAM
from softcam.model.task import Task

SIZE, CELL = 16, 4
BIAS = 0.25
CLASSES = ("healthy", "early", "late")
PREPROCESSING = Preprocessing((SIZE, SIZE), 3, (0.5,) * 3, (0.5,) * 3)


def card(classes: Sequence[str] = CLASSES, task: Task = Task.MULTICLASS, head: Head = Head.SOFTCAM) -> ModelCard:
    return ModelCard("custom", head, tuple(classes), task, preprocessing=PREPROCESSING.to_dict())


def checkpoint(classes: Sequence[str] = CLASSES, task: Task = Task.MULTICLASS) -> Checkpoint:
    """Class ``k`` has ``10 · (k + 1) · (mean over a cell of channel k) `` as evidence, and the bias `BIAS`."""
    described = card(classes, task)
    layer = ClassEvidence(3, described.num_outputs)
    with torch.no_grad():
        layer.classes.weight.zero_()
        layer.classes.bias.fill_(BIAS)  # type: ignore[union-attr]
        for index in range(described.num_outputs):
            layer.classes.weight[index, index] = 10 * (index + 1)
    return Checkpoint(SoftCAM(nn.AvgPool2d(CELL), layer, task=task).eval(), described)


def black_box(head: nn.Module) -> Checkpoint:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU())
    return Checkpoint(nn.Sequential(features, head).eval(), card(head=Head.GAP))


def write_picture(path: Path, seed: int = 0, size: tuple[int, int] = (SIZE, SIZE)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path
