from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from softcam.data.manifest import Manifest, Sample, Split
from softcam.model.backbones import build_backbone
from softcam.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig

SIZE = 32


def write_manifest(folder: Path, train: int = 16, val: int = 7, classes: int = 2) -> Manifest:
    """Noise; each class but the first has a bright square of its own colour somewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, samples = np.random.default_rng(0), []
    for split, count in ((Split.TRAIN, train), (Split.VAL, val)):
        for index in range(count):
            label = index % classes
            pixels = rng.integers(0, 120, (SIZE, SIZE, 3)).astype(np.uint8)
            if label:
                y, x = rng.integers(0, SIZE - 10, 2)
                pixels[y : y + 10, x : x + 10, label % 3] = 255
            path = folder / f"{split}-{index}.png"
            Image.fromarray(pixels).save(path)
            samples.append(Sample(path, (label,), f"{split}-{index}", split))
    names = tuple(f"class {index}" for index in range(classes))
    return Manifest(tuple(samples), names).write(folder / "manifest.csv")


def tiny_network(num_classes: int, in_channels: int = 3, *, stochastic: bool = False) -> nn.Module:
    """A classifier; unless ``stochastic``, half a batch twice is the batch once."""
    layers = {
        "stage1": nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, stride=4, padding=1),
            nn.BatchNorm2d(8) if stochastic else nn.GroupNorm(2, 8),
            nn.ReLU(),
        ),
        "stage2": nn.Sequential(nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU()),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(0.3 if stochastic else 0.0),
        "fc": nn.Linear(12, num_classes),
    }
    return nn.Sequential(OrderedDict(layers))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """These networks are too small to be shared between threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_manifest(tmp_path_factory.mktemp("images"))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put :func:`tiny_network` in place of the resnets; the stochastic one for resnet50."""

    def build(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
        if not name.startswith("resnet"):
            return build_backbone(name, num_classes=num_classes, in_channels=in_channels)
        return tiny_network(num_classes, in_channels, stochastic=name == "resnet50")

    monkeypatch.setattr("softcam.training.network.build_backbone", build)
    monkeypatch.setattr("softcam.model.checkpoint.build_backbone", build)


@pytest.fixture
def make_config(manifest: Manifest, tmp_path: Path) -> Callable[..., TrainConfig]:
    """Build a small configuration; keywords are ``section_field`` pairs such as ``optim={"epochs": 3}``."""

    def make(**sections: dict[str, Any]) -> TrainConfig:
        assert manifest.path is not None
        base = TrainConfig(
            data=DataConfig(manifest.path, size=SIZE, augmentation="fundus", workers=0),
            model=ModelConfig(weights=None),
            loss=LossConfig(mix_warmup_epochs=0.5),
            optim=OptimConfig(epochs=3, batch_size=4, warmup_epochs=1),
            run=RunConfig(out=tmp_path / "run"),
        )
        return replace(base, **{name: replace(getattr(base, name), **values) for name, values in sections.items()})

    return make
