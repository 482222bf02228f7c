"""What a step minimises: cross entropy, and for a SoftCAM the penalties on its evidence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softcam.losses import ElasticNet, MixConsistency
from softcam.model.task import Task
from softcam.training.config import LossConfig
from softcam.training.schedule import linear_rampup

TERMS = ("loss", "classification", "elastic", "mix")
"""What :meth:`Objective.__call__` returns, in this order."""


class Criterion:
    """Cross entropy over logits, softmax or sigmoid by the task, averaged over the images.

    Args:
        task: How logits become probabilities.
        weights: ``(K,)``; for the softmax the weight of each class, for sigmoids that of each positive.
    """

    def __init__(self, task: Task, weights: Tensor | None = None) -> None:
        self.task = task
        self.weights = weights

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits ``(N, K)``.

        Weighted losses are divided by the number of images, not by the sum of their weights: only so do the
        parts of an accumulated or distributed batch add up to the whole one.
        """
        weights = None if self.weights is None else self.weights.to(logits.device)
        if self.task is Task.MULTICLASS:
            return F.cross_entropy(logits, targets, weight=weights, reduction="none").mean()
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), pos_weight=weights)


def balancing_weights(counts: Tensor, images: int, task: Task) -> Tensor:
    """Return weights for :class:`Criterion` with which all classes count alike.

    Softmax: ``N / (K · n_c)``, whose mean over the images is 1. Sigmoids: ``(N − n_c) / n_c`` for positives.

    Args:
        counts: Images of each class ``n_c > 0``, ``(K,)``.
        images: Number N of images.
        task: How logits become probabilities.
    """
    if task is Task.MULTICLASS:
        return images / (len(counts) * counts.float())
    positives = (counts[-1:] if task is Task.BINARY else counts).float()
    return (images - positives) / positives


class Objective:
    """The loss of a batch.

    Args:
        criterion: Cross entropy.
        penalties: On the evidence; None for a network that has none.
        map_size: Size ``(h, w)`` of the evidence maps.
        warmup: Steps over which the weight of mix consistency rises from 0.
    """

    def __init__(
        self,
        criterion: Criterion,
        penalties: LossConfig | None = None,
        map_size: tuple[int, ...] = (),
        warmup: int = 0,
    ) -> None:
        self.criterion = criterion
        self.penalties = penalties
        self.map_size = map_size
        self.warmup = warmup
        if penalties is not None:
            self.elastic = ElasticNet(penalties.l1, penalties.l2, penalties.convention)
            self.mix = MixConsistency(penalties.mix, penalties.mix_fraction)

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor, step: int) -> Tensor:
        """Return the loss and its terms, as :data:`TERMS` names them, a tensor ``(4,)``.

        Args:
            model: The network, perhaps wrapped for several processes.
            images: The batch ``(N, C, H, W)``.
            targets: What the criterion expects.
            step: The optimizer step, counted from 0.
        """
        if self.penalties is None:
            loss = self.criterion(model(images), targets)
            return torch.stack([loss, loss.detach(), *loss.new_zeros(2)])
        logits, maps, mixed = self._forward(model, images, step)
        classification, elastic = self.criterion(logits, targets), self.elastic(maps)
        mix = mixed * linear_rampup(step, self.warmup)
        return torch.stack([classification + elastic + mix, *(t.detach() for t in (classification, elastic, mix))])

    def _forward(self, model: nn.Module, images: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits and maps of the batch, and the mix penalty; the mixed images go along in one pass."""
        if not self.mixes_at(step):
            logits, maps = model(images, return_evidence=True)
            return logits, maps, logits.new_zeros(())
        mixed = self.mix.sample(images, self.map_size)
        logits, maps = model(torch.cat([images, mixed.images]), return_evidence=True)
        count = len(images)
        penalty = self.mix.penalty(maps[count:], mixed.compose(maps[:count]))
        return logits[:count], maps[:count], penalty

    def mixes_at(self, step: int) -> bool:
        """Whether the optimizer step ``step`` sees mixed images."""
        settings = self.penalties
        if settings is None or settings.mix == 0 or linear_rampup(step, self.warmup) == 0:
            return False
        return step % settings.mix_every == 0
