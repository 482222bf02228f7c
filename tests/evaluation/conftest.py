"""Images with painted squares, and networks that read exactly those."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from softcam.data.manifest import Annotations, Box, Manifest, Sample, Split
from softcam.data.preprocessing import Preprocessing
from softcam.model.checkpoint import Checkpoint, Head, ModelCard
from softcam.model.convert import convert
from softcam.model.task import Task

SIZE, SIDE = 32, 8
PREPROCESSING = Preprocessing((SIZE, SIZE), 3, (0.0,) * 3, (1.0,) * 3)


def square_reader(
    outputs: Sequence[float] = (-100.0, 100.0), bias: Sequence[float] = (1.5, -1.5), cell: int = 1
) -> nn.Module:
    """A classifier whose one feature is .5 on a white cell and 0 on a black one; ``outputs`` weigh it."""
    network = nn.Sequential(
        OrderedDict(
            features=nn.Conv2d(3, 1, cell, stride=cell),
            relu=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(1, len(outputs)),
        )
    )
    with torch.no_grad():
        network.features.weight.fill_(1 / (3 * cell**2))
        network.features.bias.fill_(-0.5)
        network.fc.weight.copy_(torch.tensor(outputs)[:, None])
        network.fc.bias.copy_(torch.tensor(bias))
    return network.eval()


def checkpoint(
    network: nn.Module,
    head: Head = Head.SOFTCAM,
    task: Task = Task.MULTICLASS,
    classes: tuple[str, ...] = ("healthy", "sick"),
) -> Checkpoint:
    model = convert(network, task=task, example=torch.zeros(1, 3, SIZE, SIZE)) if head is Head.SOFTCAM else network
    return Checkpoint(model.eval(), ModelCard("squares", head, classes, task, preprocessing=PREPROCESSING.to_dict()))


def paint(path: Path, corners: Sequence[tuple[int, int]], noise: int = 0) -> Path:
    """Write an image with white squares at ``corners`` (x, y)."""
    pixels = np.random.default_rng(len(path.name)).integers(0, noise + 1, (SIZE, SIZE, 3)).astype(np.uint8)
    for x, y in corners:
        pixels[y : y + SIDE, x : x + SIDE] = 255
    Image.fromarray(pixels).save(path)
    return path


def write_squares(folder: Path, *, annotated: bool = True, classes: tuple[str, str] = ("healthy", "sick")) -> Manifest:
    """Sixteen test images of eight patients: every other is sick, with one square and its box; two are mislabelled."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for index in range(16):
        sick = index % 2
        x, y = 4 * (index % 7), 4 * (index % 5)
        box = Annotations(boxes=(Box(x, y, SIDE, SIDE),)) if sick and annotated else Annotations()
        path = paint(folder / f"{index:02}.png", [(x, y)] if sick else [])
        label = 1 - sick if index in (4, 11) else sick
        samples.append(Sample(path, (label,), f"patient {index // 2}", Split.TEST, box))
    return Manifest(tuple(samples), classes).write(folder / "manifest.csv")


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_squares(tmp_path_factory.mktemp("squares"))
