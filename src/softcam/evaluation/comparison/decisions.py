"""Which of a model's outputs are asked about an image: the finding's for localization, the decision's for removal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from softcam.metrics.baselines import blurred_baseline, constant_baseline
from softcam.metrics.removal import Tracked
from softcam.model.task import Task


class Protocol(StrEnum):
    """Which probability is followed while an image is taken apart, and what takes the place of its parts.

    Attributes:
        DEFAULT: The class that was predicted of the whole image; a blurred image (Petsiuk et al. 2018).
        PAPER: Whichever class is the most probable after the removal; the mean that the preprocessing subtracts, which
            is that of the data set where the model was trained as published (Djoumessi & Berens 2026).
    """

    DEFAULT = "default"
    PAPER = "paper"

    @property
    def tracked(self) -> Tracked:
        """Which probability is followed."""
        return Tracked.TOP if self is Protocol.PAPER else Tracked.PREDICTED

    def baseline(self, images: Tensor) -> Tensor:
        """Return what takes the place of what is removed from images ``(n, C, H, W)``, of the same shape."""
        return constant_baseline(images) if self is Protocol.PAPER else blurred_baseline(images)


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a model decides of each image.

    Attributes:
        outputs: int64 ``(n,)``; of several labels the most probable.
        against: Bool ``(n,)``, whether the decision is against its output, as it is for a negative image of a model
            with one output. The map of such a decision is that of the output with its sign turned.
    """

    outputs: Tensor
    against: Tensor

    @classmethod
    def of(cls, logits: Tensor, task: Task) -> Decisions:
        """Read logits ``(n, K)``."""
        return cls(logits.argmax(dim=1), (logits[:, 0] <= 0) & (task is Task.BINARY))

    def signed(self, maps: Tensor) -> Tensor:
        """Turn maps ``(n, H, W)`` of the outputs into maps of the decisions."""
        return torch.where(self.against[:, None, None], -maps, maps)

    def subset(self, rows: Tensor) -> Decisions:
        """Return the decisions on some of the images."""
        return Decisions(self.outputs[rows], self.against[rows])


def finding_outputs(target: Tensor, task: Task, outputs: int) -> list[int]:
    """Return the outputs whose maps the annotation of an image is held against.

    The rule is that of :mod:`softcam.evaluation.explanations`: the positive class of two, the class of the label of
    more, and of several labels each, whose maps are then united by their maximum.

    Args:
        target: Of one image, as :class:`~softcam.data.dataset.ManifestDataset` gives it.
        task: What it means.
        outputs: How many the model has.

    Returns:
        Indices; none for an image that shows no finding.

    Example:
        >>> finding_outputs(torch.tensor(1), Task.MULTICLASS, 2), finding_outputs(torch.tensor(0), Task.MULTICLASS, 2)
        ([1], [])
    """
    if task is Task.MULTICLASS:
        label = int(target)
        return [label] if label > 0 or outputs > 2 else []
    return [int(index) for index in torch.nonzero(target > 0)[:, 0]]
