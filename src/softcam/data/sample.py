"""One image and what is known about it: labels, patient, split and annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Split(StrEnum):
    """What an image is used for."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the image file: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Point:
    """A place in pixels of the image file: from the left, from the top."""

    x: float
    y: float


@dataclass(frozen=True)
class Annotations:
    """Where the finding is, as far as somebody has drawn it.

    Attributes:
        boxes: Rectangles around findings.
        points: Single places, such as lesion centres.
        masks: Mask images of the image's size, non-zero on the finding; several are united.
    """

    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    masks: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is drawn at all."""
        return bool(self.boxes or self.points or self.masks)


@dataclass(frozen=True)
class Sample:
    """One image of a manifest.

    Attributes:
        image: The image file.
        labels: Class indices, ascending. One for multi-class; any number, none included, for multi-label.
        patient: Whose image it is. Images of one patient never fall into two splits.
        split: What the image is used for; None where nobody has decided yet.
        annotations: Where the finding is.
        extra: Further columns of the table, kept as they are.
    """

    image: Path
    labels: tuple[int, ...]
    patient: str
    split: Split | None = None
    annotations: Annotations = Annotations()
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
