"""Evaluations made of numbers, and a manifest with all three splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.conftest import tiny_network
from torch import nn

from softcam.data.manifest import Annotations, Box, Manifest, Sample, Split
from softcam.evaluation.predict import Predictions
from softcam.evaluation.result import Evaluation
from softcam.evaluation.sweep.assess import SPARSITY
from softcam.evaluation.sweep.choose import RunResult
from softcam.metrics.bootstrap import Interval
from softcam.model.checkpoint import Head
from softcam.model.task import Task
from softcam.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig
from softcam.training.sweep.grid import Point, Setting

SIZE, SIDE = 32, 12
TARGETS = np.arange(60) % 2
PATIENTS = tuple(f"patient {index // 2}" for index in range(60))


def make_evaluation(logits: np.ndarray, sparsity: float = 0.5) -> Evaluation:
    """An evaluation of sixty images of which a network says ``logits`` (N,) for the second of two classes."""
    both = np.stack([-logits / 2, logits / 2], axis=1)
    predictions = Predictions(
        task=Task.MULTICLASS,
        images=tuple(f"{index}.png" for index in range(60)),
        patients=PATIENTS,
        targets=TARGETS,
        logits=both,
        probabilities=Task.MULTICLASS.probabilities(torch.from_numpy(both)).numpy(),
        scores={SPARSITY: np.full(60, sparsity)},
    )
    nothing = Interval(0.5, 0.4, 0.6, 0.95, 10, 0)
    return Evaluation(
        backbone="none",
        head=Head.SOFTCAM,
        classes=("healthy", "sick"),
        manifest=None,
        split=Split.VAL,
        input_size=(SIZE, SIZE),
        map_size=(4, 4),
        metrics={"auroc": nothing},
        confusion=np.zeros((2, 2), dtype=np.int64),
        roc={},
        pr={},
        calibration=(),
        localization={},
        locality=None,
        completeness=0.0,
        notes=(),
        predictions=predictions,
    )


def make_run(setting: Setting, seed: int, wrong: int = 0, sparsity: float = 0.5) -> RunResult:
    """A run whose network is sure of all images and mistaken about the first ``wrong`` of them."""
    logits = np.where(TARGETS > 0, 3.0, -3.0) + np.random.default_rng(seed).normal(0, 0.1, 60)
    logits[:wrong] *= -1
    return RunResult(Point(setting, seed), make_evaluation(logits, sparsity))


def write_split_squares(folder: Path) -> Manifest:
    """Noise; every other image has a bright square, with its box."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, samples = np.random.default_rng(0), []
    for split, count in ((Split.TRAIN, 16), (Split.VAL, 10), (Split.TEST, 10)):
        for index in range(count):
            pixels = rng.integers(0, 120, (SIZE, SIZE, 3)).astype(np.uint8)
            annotation = Annotations()
            if index % 2:
                x, y = rng.integers(0, SIZE - SIDE, 2)
                pixels[y : y + SIDE, x : x + SIDE] = 255
                annotation = Annotations(boxes=(Box(int(x), int(y), SIDE, SIDE),))
            path = folder / f"{split}-{index}.png"
            Image.fromarray(pixels).save(path)
            samples.append(Sample(path, (index % 2,), f"{split}-{index}", split, annotation))
    return Manifest(tuple(samples), ("healthy", "sick")).write(folder / "manifest.csv")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """These networks are too small to be shared between threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def split_squares(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_split_squares(tmp_path_factory.mktemp("split-squares"))


def use_tiny_networks(patch: pytest.MonkeyPatch) -> None:
    """Put the tiny network in place of all backbones."""

    def build(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
        return tiny_network(num_classes, in_channels)

    patch.setattr("softcam.training.network.build_backbone", build)
    patch.setattr("softcam.model.checkpoint.build_backbone", build)


def tiny_base(manifest: Manifest, out: Path) -> TrainConfig:
    """Return what the runs of a tiny sweep share."""
    assert manifest.path is not None
    return TrainConfig(
        data=DataConfig(manifest.path, size=SIZE, workers=0),
        model=ModelConfig(weights=None),
        loss=LossConfig(mix_warmup_epochs=0),
        optim=OptimConfig(epochs=2, batch_size=4, lr=0.02),
        run=RunConfig(out=out),
    )


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tiny_networks(monkeypatch)


@pytest.fixture
def make_base(split_squares: Manifest, tmp_path: Path) -> Callable[..., TrainConfig]:
    """Build what the runs of a tiny sweep share; keywords are sections with their changes."""

    def make(**sections: dict[str, Any]) -> TrainConfig:
        base = tiny_base(split_squares, tmp_path / "sweep")
        return replace(base, **{name: replace(getattr(base, name), **values) for name, values in sections.items()})

    return make
