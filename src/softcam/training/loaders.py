"""The images of a run: which ones, and how they come in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from softcam.data.dataset import ManifestDataset, class_counts
from softcam.data.manifest import Manifest, Split
from softcam.data.transforms import test_transform, training_transform
from softcam.errors import ConfigError, DataError, SoftCAMError, own_sentence
from softcam.model.task import Task
from softcam.training.config import Monitor, TrainConfig
from softcam.training.sampling import EpochSampler, SeededDataset

_NEEDS_TWO_CLASSES = (Monitor.AUROC, Monitor.AUPRC, Monitor.KAPPA)


@dataclass(frozen=True)
class TrainingData:
    """The training and validation images of a run, and what is asked about them.

    Attributes:
        train: Training images.
        val: Validation images.
        task: How logits become probabilities.
    """

    train: Manifest
    val: Manifest
    task: Task

    @property
    def num_outputs(self) -> int:
        """Number K of logits."""
        return 1 if self.task is Task.BINARY else len(self.train.classes)

    def image_names(self, indices: list[int]) -> str:
        """Return the files of these training images, joined for a message."""
        return ", ".join(str(self.train.samples[index].image) for index in indices)

    def class_counts(self) -> Tensor:
        """Return the number of training images of each class, to weigh them.

        Raises:
            DataError: A class has none.
        """
        counts = class_counts(self.train)
        for name, count in zip(self.train.classes, counts.tolist(), strict=True):
            if count == 0:
                raise DataError(f"{self.train.path} has no training image of class {name!r} to balance with; add some")
        return counts


def read_training_data(config: TrainConfig) -> TrainingData:
    """Read the manifest and check that it can be trained on.

    Raises:
        DataError: It cannot be read, a split is empty, an image is missing, or there is nothing to tell apart.
    """
    manifest = Manifest.read(config.data.manifest)
    task = config.model.task or (Task.MULTILABEL if manifest.multilabel else Task.MULTICLASS)
    if task is Task.MULTICLASS and len(manifest.classes) < 2:
        raise DataError(f"{manifest.path} has one class only; a classifier needs at least two to tell apart")
    data = TrainingData(manifest.select(Split.TRAIN), manifest.select(Split.VAL), task)
    for split, part in ((Split.TRAIN, data.train), (Split.VAL, data.val)):
        if not part.samples:
            raise DataError(f"{manifest.path} has no image in the split {split}; fill its column 'split'")
        missing = next((sample.image for sample in part.samples if not sample.image.is_file()), None)
        if missing is not None:
            raise DataError(f"{missing} does not exist; correct its path in {manifest.path}")
    _check_monitor(config.run.monitor, data.val)
    return data


def _check_monitor(monitor: Monitor, val: Manifest) -> None:
    counts = Counter(label for sample in val.samples for label in sample.labels)
    tells_apart = any(0 < count < len(val) for count in counts.values())
    if monitor in _NEEDS_TWO_CLASSES and not tells_apart:
        raise DataError(
            f"all {len(val)} validation images of {val.path} have the same labels, so {monitor} is not defined; "
            "add others, or choose another run.monitor"
        )


def make_loaders(config: TrainConfig, data: TrainingData, processes: int) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return the loaders of training and validation, for ``Accelerator.prepare``.

    Args:
        config: The run.
        data: Its images.
        processes: Number of processes that share each step.

    Raises:
        DataError: There are fewer training images than a step takes, or the labels do not fit the task.
        ConfigError: Balanced sampling of images with several labels.
    """
    step = config.optim.batch_size * config.optim.accumulation * processes
    if len(data.train) < step:
        raise DataError(
            f"{data.train.path} has {len(data.train)} training images, but a step takes {step}; "
            "lower optim.batch_size or optim.accumulation"
        )
    preprocessing = config.data.preprocessing
    augmenting = training_transform(preprocessing, config.data.random_changes)
    train = SeededDataset(ManifestDataset(data.train, augmenting, data.task))
    val = ManifestDataset(data.val, test_transform(preprocessing), data.task)
    sampler = EpochSampler(len(train), step, config.run.seed, _sampling_weights(config, data))
    options: dict[str, Any] = {
        "batch_size": config.optim.batch_size,
        "num_workers": config.data.workers,
        "persistent_workers": config.data.workers > 0,
        "pin_memory": torch.cuda.is_available(),
    }
    # a generator of its own: the loader draws a number when it starts its workers, and the global one would move
    training = DataLoader(train, sampler=sampler, generator=torch.Generator(), **options)
    return training, DataLoader(val, **options)


def _sampling_weights(config: TrainConfig, data: TrainingData) -> list[float] | None:
    if not config.optim.balanced_sampling:
        return None
    if data.task is Task.MULTILABEL:
        raise ConfigError("optim.balanced_sampling is true, but images have several labels; use loss.class_weights")
    chance = 1 / data.class_counts()
    return [float(chance[sample.labels[0]]) for sample in data.train.samples]


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Turn an error that a loading process reports with its traceback back into the sentence that it was."""
    try:
        yield
    except SoftCAMError as error:
        sentence = own_sentence(str(error))
        if sentence == str(error):
            raise
        raise type(error)(sentence) from None
