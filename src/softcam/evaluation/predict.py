"""A model over a data set, streamed: numbers per image are kept, maps are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from softcam.data.dataset import ManifestDataset
from softcam.errors import DataError
from softcam.model.task import Task
from softcam.training.loaders import plain_worker_errors

Batch: TypeAlias = dict[str, Tensor]
"""What a :class:`~softcam.data.dataset.ManifestDataset` and torch's collation give, on the model's device."""
Reader: TypeAlias = Callable[[Batch], tuple[Tensor, Mapping[str, Tensor]]]
"""A batch to its logits ``(n, K)`` and to named numbers ``(n,)`` per image, NaN where an image has none."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of each image, in the order of the manifest.

    Attributes:
        task: How logits become probabilities.
        images: Paths of the N images.
        patients: Whose image it is, one per image.
        targets: As the task has them: classes int64 ``(N,)`` (multi-class), else 0 or 1, int64 ``(N, K)``.
        logits: float64 ``(N, K)``.
        probabilities: float64 ``(N, K)``.
        scores: Further numbers per image, float64 ``(N,)`` each, NaN where an image has none.
    """

    task: Task
    images: tuple[str, ...]
    patients: tuple[str, ...]
    targets: NDArray[np.int64]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> tuple[tuple[int, ...], ...]:
        """Class indices of each image; with one output 0 for the negative and 1 for the positive class."""
        return _indices(self.targets, self.task)

    @property
    def decisions(self) -> tuple[tuple[int, ...], ...]:
        """What the model decides for, in the form of ``labels``; yes/no decisions at a probability above .5."""
        if self.task is Task.MULTICLASS:
            return _indices(self.probabilities.argmax(axis=1), self.task)
        return _indices(self.probabilities > 0.5, self.task)


def predict(
    read: Reader,
    dataset: ManifestDataset,
    *,
    batch_size: int = 16,
    workers: int = 0,
    device: str | torch.device = "cpu",
    seed: int = 0,
    progress: bool = True,
) -> Predictions:
    """Read all images of a data set, in batches.

    The images of a batch are drawn from the whole set, because manifests are often sorted by class and some
    scores (locality) look at pairs within a batch.

    Args:
        read: The model; called without gradients.
        dataset: The images.
        batch_size: Images per batch.
        workers: Processes that load images.
        device: Where ``read`` wants its batches.
        seed: Seed of the order in which images are read.
        progress: Whether to show a bar, on a terminal.

    Returns:
        The predictions, in the order of ``dataset``.

    Raises:
        DataError: An image cannot be read, or the model's logits for it are not finite.
    """
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed)).tolist()
    pinned = torch.device(device).type == "cuda"
    loader = DataLoader(dataset, batch_size, sampler=order, num_workers=workers, pin_memory=pinned)
    logits: list[Tensor] = []
    columns: dict[str, list[Tensor]] = {}
    bar = tqdm(total=len(dataset), desc="evaluate", unit="image", disable=None if progress else True)
    with bar, plain_worker_errors(), torch.inference_mode():
        for batch in loader:
            outputs, numbers = read({name: value.to(device, non_blocking=True) for name, value in batch.items()})
            logits.append(outputs.double().cpu())
            _require_finite(logits[-1], batch["index"], dataset)
            for name, values in numbers.items():
                columns.setdefault(name, []).append(values.double().cpu())
            bar.update(len(outputs))
    back = np.argsort(order)
    scores = {name: torch.cat(parts).numpy()[back] for name, parts in columns.items()}
    return _assemble(dataset, torch.cat(logits)[back], scores)


def _require_finite(logits: Tensor, indices: Tensor, dataset: ManifestDataset) -> None:
    broken = ~logits.isfinite().all(dim=1)
    if broken.any():
        image = dataset.manifest.samples[int(indices[broken][0])].image
        raise DataError(f"the model's logits for {image} are not finite; check that image, and the model's training")


def _assemble(dataset: ManifestDataset, logits: Tensor, scores: Mapping[str, NDArray[Any]]) -> Predictions:
    samples = dataset.manifest.samples
    return Predictions(
        task=dataset.task,
        images=tuple(str(sample.image) for sample in samples),
        patients=tuple(sample.patient for sample in samples),
        targets=dataset.targets.numpy().astype(np.int64),
        logits=logits.numpy(),
        probabilities=dataset.task.probabilities(logits).numpy(),
        scores=scores,
    )


def _indices(values: NDArray[Any], task: Task) -> tuple[tuple[int, ...], ...]:
    if task is Task.MULTILABEL:
        return tuple(tuple(np.flatnonzero(row).tolist()) for row in values)
    return tuple((int(value),) for value in values.ravel())
