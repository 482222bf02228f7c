"""How the learning rate and the weight of mix consistency move over the steps, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

from softcam.errors import ConfigError


@dataclass(frozen=True)
class WarmupCosine:
    """Linear warm-up, then half a cosine from the peak to the floor (Loshchilov & Hutter, SGDR, 2017).

    A function of the step alone: nothing to save, and resuming is exact. Without warm-up it is torch's
    ``CosineAnnealingLR(T_max=total)``.

    Attributes:
        peak: Value after the warm-up.
        floor: Value towards which the cosine falls; reached after the last step.
        warmup: Steps of the warm-up; the first step takes ``peak / warmup``.
        total: Steps of the whole run.

    Example:
        >>> schedule = WarmupCosine(peak=1.0, floor=0.0, warmup=2, total=6)
        >>> [round(schedule(step), 3) for step in range(6)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """

    peak: float
    floor: float
    warmup: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= self.total:
            raise ConfigError(f"a warm-up of {self.warmup} steps does not fit a run of {self.total}; shorten it")

    def __call__(self, step: int) -> float:
        """Return the value for the optimizer step ``step``, counted from 0."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.total - self.warmup)
        return self.floor + (self.peak - self.floor) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def linear_rampup(step: int, steps: int) -> float:
    """Return the share, rising linearly to 1 at step ``steps``, of a weight that is warmed up.

    Example:
        >>> [linear_rampup(step, 4) for step in range(6)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
        >>> linear_rampup(0, 0)
        1.0
    """
    return 1.0 if step >= steps else step / steps
