"""What ``softcam explain`` is asked to show: which classes, which map of each, on which scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from softcam.errors import ConfigError
from softcam.model.checkpoint import ModelCard
from softcam.model.task import Task
from softcam.reporting.colours import check_limit

_QUANTILE = 0.995
_LEAST_LIMIT = 1.0


class Shown(StrEnum):
    """Which map is shown of a class.

    Attributes:
        CONTRAST: Evidence for it over the others, the part that a softmax sees.
        RAW: Its own map, whatever the maps of the other classes are.
    """

    CONTRAST = "contrast"
    RAW = "raw"


@dataclass(frozen=True)
class ExplainOptions:
    """What to show of each image, and how to go through them.

    Attributes:
        classes: Names of the classes to show. Without names and without ``top`` it is the positive (last) class of
            two, so that red means the same in every image, and the most probable one of more.
        top: Show this many of the most probable classes.
        shown: Which map of them.
        limit: Logits at full colour; None for the `common_limit` of the images.
        batch_size: Images that go through the network together.
        strict: Stop at the first file that cannot be explained, instead of reporting it and going on.

    Raises:
        ConfigError: A number is out of range, or both ``classes`` and ``top`` are given.
    """

    classes: tuple[str, ...] = ()
    top: int | None = None
    shown: Shown = Shown.CONTRAST
    limit: float | None = None
    batch_size: int = 8
    strict: bool = False

    def __post_init__(self) -> None:
        if self.classes and self.top is not None:
            raise ConfigError(f"class is {', '.join(self.classes)} and top is {self.top}; give one of the two")
        if self.top is not None and self.top < 1:
            raise ConfigError(f"top is {self.top}; show at least 1 class")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}; it must be at least 1")
        if self.limit is not None:
            check_limit(self.limit)

    def check_classes(self, card: ModelCard) -> None:
        """Check that the model gives evidence for the named classes.

        Raises:
            ConfigError: It does not; the message lists those that there are.
        """
        unknown = next((name for name in self.classes if name not in card.output_names), None)
        if unknown is not None:
            known = ", ".join(card.output_names)
            raise ConfigError(f"class {unknown!r} is none that the model gives evidence for; choose from {known}")

    def select(self, card: ModelCard, probabilities: Sequence[float]) -> list[int]:
        """Choose the classes to show of an image.

        Args:
            card: Of the model.
            probabilities: Of the image, one per output.

        Returns:
            Indices of outputs: in the order in which they were named, or from the most probable on.
        """
        if self.classes:
            return [card.output_names.index(name) for name in self.classes]
        if self.top is None and _has_positive_class(card):
            return [len(probabilities) - 1]
        ranked = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
        return ranked[: self.top or 1]


def decide(card: ModelCard, probabilities: Sequence[float]) -> tuple[str, ...]:
    """Name the classes that the model sees in an image.

    Args:
        card: Of the model.
        probabilities: Of the image, one per output.

    Returns:
        One class; for a multi-label model all with a probability of at least one half, perhaps none.
    """
    if card.task is Task.BINARY:
        return (card.classes[int(probabilities[0] >= 0.5)],)
    if card.task is Task.MULTILABEL:
        return tuple(name for name, value in zip(card.classes, probabilities, strict=True) if value >= 0.5)
    return (card.classes[max(range(len(probabilities)), key=probabilities.__getitem__)],)


def common_limit(maps: Iterable[NDArray[np.floating]]) -> float:
    """Find the scale on which several images can be compared.

    It is the 99.5 % quantile, over all cells of all images, of the strongest evidence for or against any class, so
    that it does not depend on the classes to be shown; rounded up to two digits, and at least 1 logit: evidence that
    reaches 1 logit nowhere cannot move the decision by more than that, and a call with nothing but such images must
    not paint them like sick ones.

    Args:
        maps: For each image ``(K, h, w)`` in logits.

    Returns:
        Logits at full colour.
    """
    strongest = [np.abs(image).max(axis=0).ravel() for image in maps]
    quantile = float(np.quantile(np.concatenate(strongest), _QUANTILE)) if strongest else 0.0
    return _rounded_up(max(_LEAST_LIMIT, quantile))


def _has_positive_class(card: ModelCard) -> bool:
    return card.task is Task.BINARY or (card.task is Task.MULTICLASS and len(card.classes) == 2)


def _rounded_up(value: float) -> float:
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(round(value / step, 6)) * step:.6g}")
