"""Which images come when, and with which random transforms: a function of the seed and the epoch alone.

Neither the number of workers nor what has been drawn before changes what an epoch consists of, so a resumed
run sees what the uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from torch import Tensor
from torch.utils.data import Dataset, Sampler

_SEED_RANGE = 2**31


@dataclass(frozen=True)
class Draw:
    """One image to load, and the seed of its random transforms."""

    index: int
    seed: int


class EpochSampler(Sampler[Draw]):
    """Draws the images of an epoch, in an order that only the seed and the epoch decide.

    Args:
        size: Number of images.
        multiple: Images of one optimizer step; the epoch is cut to whole steps, so that all are of equal
            size. Which images are left out changes from epoch to epoch.
        seed: Seed of the run.
        weights: Chance of each image, for drawing with replacement; None: every image once.
    """

    def __init__(self, size: int, multiple: int, seed: int, weights: Sequence[float] | None = None) -> None:
        self.size = size
        self.count = size // multiple * multiple
        self.seed = seed
        self.weights = None if weights is None else torch.as_tensor(weights, dtype=torch.float64)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Draw]:
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, self.epoch))
        order = self._order(generator)[: self.count]
        seeds = torch.randint(_SEED_RANGE, (self.count,), generator=generator)
        yield from map(Draw, order.tolist(), seeds.tolist())

    def _order(self, generator: torch.Generator) -> Tensor:
        if self.weights is None:
            return torch.randperm(self.size, generator=generator)
        return torch.multinomial(self.weights, self.size, replacement=True, generator=generator)


@dataclass(frozen=True)
class SeededDataset(Dataset[Any]):
    """A dataset whose random transforms follow the seed that :class:`EpochSampler` draws for each image."""

    dataset: Dataset[Any]

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, draw: Draw) -> Any:
        with cpu_seed(draw.seed):
            return self.dataset[draw.index]


@contextmanager
def cpu_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generator on the CPU, from which transforms draw, and put it back afterwards."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


def mixed_seed(*parts: int) -> int:
    """Return one well-mixed seed for a combination such as (seed, epoch, process)."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def seed_epoch(seed: int, epoch: int, process: int) -> None:
    """Seed every generator of this process for one epoch: dropout and mixing follow from it."""
    set_seed(mixed_seed(seed, epoch, process))
