"""Losses without making the processor wait for the device at every step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from softcam.errors import SoftCAMError
from softcam.training.loaders import TrainingData
from softcam.training.objective import TERMS

EVERY = 20
"""Steps between two looks."""


class LossWatch:
    """Keeps the losses of an epoch on the device and looks at them every :data:`EVERY` batches.

    A look costs one transfer, and one gathering over the processes. A loss that is not finite is therefore
    found a few steps late; the batch it began with is still known.

    Args:
        accelerator: Of the run.
        data: Names the images.
        epoch: Epoch, counted from 0, for the message.
    """

    def __init__(self, accelerator: Accelerator, data: TrainingData, epoch: int) -> None:
        self._accelerator = accelerator
        self._data = data
        self._epoch = epoch
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._seen: list[list[float]] = []

    def add(self, terms: Tensor, indices: Tensor) -> bool:
        """Keep the loss terms ``(4,)`` of a batch and its image indices; True when it is time for a look."""
        self._pending.append((terms.detach(), indices))
        return len(self._pending) >= EVERY

    def look(self) -> dict[str, float]:
        """Return the mean terms since the last look, over all processes.

        Raises:
            SoftCAMError: A loss is not finite; the message names the images of the batch.
        """
        local = torch.stack([terms for terms, _ in self._pending])
        everywhere = self._accelerator.gather(local).view(-1, *local.shape).cpu()  # (processes, batches, 4)
        finite = everywhere[..., 0].isfinite().all(dim=0)
        if not finite.all():
            self._fail(int(finite.logical_not().nonzero()[0]), everywhere[..., 0])
        self._pending.clear()
        rows = everywhere.double().mean(dim=0).tolist()
        self._seen += rows
        return _means(rows)

    def means(self) -> dict[str, float]:
        """Return the mean terms of all batches that have been looked at."""
        return _means(self._seen)

    def _fail(self, batch: int, losses: Tensor) -> None:
        bad = losses[:, batch].isfinite().logical_not()
        mine = bool(bad[self._accelerator.process_index])
        names = gather_object([self._data.image_names(self._pending[batch][1].tolist())] if mine else [])
        value = losses[:, batch][bad][0].item()
        raise SoftCAMError(
            f"the loss is {value} in epoch {self._epoch + 1} at the images {', '.join(names)}; "
            "look at these, lower optim.lr, or set optim.clip_norm (the last finished epoch is kept)"
        )


def _means(rows: Iterable[list[float]]) -> dict[str, float]:
    columns = list(zip(*rows, strict=True))
    return {name: math.fsum(column) / len(column) for name, column in zip(TERMS, columns, strict=True)}
