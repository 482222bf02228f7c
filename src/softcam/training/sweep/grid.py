"""The points of a sweep: weights of the penalties on the evidence, and seeds."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

from softcam.errors import ConfigError
from softcam.training.config import TrainConfig


@dataclass(frozen=True, order=True)
class Setting:
    """Weights of the penalties on the evidence, as in :class:`softcam.training.config.LossConfig`.

    Attributes:
        l1: λ1, of the absolute evidence.
        l2: λ2, of the squared evidence.
        mix: μ, of mix consistency.
    """

    l1: float
    l2: float
    mix: float

    def __str__(self) -> str:
        return f"λ1 {self.l1:g}, λ2 {self.l2:g}, μ {self.mix:g}"


DENSE = Setting(0.0, 0.0, 0.0)
"""No penalty at all: the published *dense* SoftCAM (Djoumessi & Berens 2026), which all others are held against."""


@dataclass(frozen=True, order=True)
class Point:
    """One training of a sweep.

    Attributes:
        setting: Its penalties.
        seed: Its seed.
    """

    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"l1-{self.setting.l1:g}_l2-{self.setting.l2:g}_mix-{self.setting.mix:g}_seed-{self.seed}"

    def __str__(self) -> str:
        return f"{self.setting}, seed {self.seed}"


@dataclass(frozen=True)
class SweepConfig:
    """What is varied, and how the choice is made.

    Attributes:
        lambda1: Values of loss.l1.
        lambda2: Values of loss.l2.
        mu: Values of loss.mix.
        seeds: Values of run.seed; every combination is trained with each.
        margin: Loss of AUROC that is accepted: the choice is the sparsest setting whose AUROC is, by the 95 %
            interval of the difference, not lower than the dense one's by as much as this.
        resamples: Bootstrap draws of patients behind the intervals.
        test: Whether to read the test images in the end, once, for the chosen setting and the dense one. The choice
            is final then; without, the grid may still grow.
    """

    lambda1: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05)
    lambda2: tuple[float, ...] = (0.0,)
    mu: tuple[float, ...] = (0.0, 1.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    margin: float = 0.01
    resamples: int = 1000
    test: bool = True

    def __post_init__(self) -> None:
        for name in ("lambda1", "lambda2", "mu", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values) or not all(math.isfinite(v) and v >= 0 for v in values):
                listed = ",".join(f"{value:g}" for value in values)
                raise ConfigError(f"sweep.{name} is [{listed}]; give different finite numbers of at least 0")
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise ConfigError(f"sweep.margin is {self.margin}; it is a difference of AUROC above 0")
        if self.resamples < 1:
            raise ConfigError(f"sweep.resamples is {self.resamples}; it is at least 1")

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All combinations of the penalties, the dense one, which is always among them, first."""
        combined = itertools.product(self.lambda1, self.lambda2, self.mu)
        return (DENSE, *(setting for setting in itertools.starmap(Setting, combined) if setting != DENSE))

    @property
    def points(self) -> tuple[Point, ...]:
        """All trainings."""
        return tuple(Point(setting, seed) for setting in self.settings for seed in self.seeds)


def point_config(base: TrainConfig, point: Point) -> TrainConfig:
    """Return the configuration of one training, an ordinary run in ``OUT/runs/NAME``."""
    penalties = point.setting
    return replace(
        base,
        loss=replace(base.loss, l1=penalties.l1, l2=penalties.l2, mix=penalties.mix),
        run=replace(base.run, seed=point.seed, out=base.run.out / "runs" / point.name),
    )
