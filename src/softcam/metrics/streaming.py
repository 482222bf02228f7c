"""The torchmetrics bases of every metric that is a mean over images."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class ScoreMean(Metric):
    """Mean of a score over the images that have one, streamed as two sums.

    Nothing but the sums is kept, and both add up across processes, so that the result does not depend on how
    the images were dealt out. NaN marks an image that has no score (no annotation, a map that is not finite);
    before any image has one, the mean is NaN. Subclasses say in ``update`` what they score.

    Args:
        **settings: Settings of :class:`torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better: bool | None = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound: float | None = 1.0

    total: Tensor
    count: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        shape = self._score_shape()
        self.add_state("total", torch.zeros(shape), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def _score_shape(self) -> tuple[int, ...]:
        return ()

    def _add(self, scores: Tensor) -> None:
        """Add the scores of a batch, ``(N, *shape)``, NaN where an image has none."""
        self.total += scores.nansum(dim=0)
        self.count += scores.isfinite().sum(dim=0)

    def compute(self) -> Tensor:
        """Return the mean so far, NaN without a scored image."""
        return self.total / self.count


class ImageMean(ScoreMean):
    """Mean of a score of maps against the truth.

    Args:
        **settings: Settings of :class:`torchmetrics.Metric`.
    """

    @abstractmethod
    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        """Score each image: ``(N, *shape)``, NaN where there is none."""

    def update(self, maps: Tensor, truth: Tensor) -> None:
        """Add a batch.

        Args:
            maps: Scored maps ``(N, H, W)``.
            truth: What they are scored against: masks ``(N, H, W)``, bool, unless the metric says otherwise.
        """
        self._add(self._score(maps, truth))
