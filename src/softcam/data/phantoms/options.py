"""What a phantom shall be: kind, size, lesions, noise, normal variation, planted shortcut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from softcam.errors import ConfigError

SMALLEST_SIZE = 64
LARGEST_SIZE = 4096


class PhantomKind(StrEnum):
    """The published task that a phantom mimics."""

    FUNDUS = "fundus"
    CHEST = "chest"
    OCT = "oct"


@dataclass(frozen=True)
class PhantomOptions:
    """What a set of phantoms looks like.

    The lengths are relative to the image, so one seed shows the same patients at every size.

    Args:
        kind: ``fundus`` (colour photograph of the retina), ``chest`` (frontal radiograph, grey) or ``oct``
            (B-scan of the retina, grey).
        size: Height and width in pixels, 64 to 4096.
        prevalence: Share of diseased images, 0 to 1. Every run of consecutive indices holds it to within
            one image.
        lesion_size: Length scale of the lesions, 0.5 to 2; at 1 the lesions of a diseased image cover about
            1 % of a fundus, 7.5 % of a chest radiograph and 2.5 % of an OCT scan.
        lesion_contrast: Scale of how strongly lesions change the image, 0.5 to 2.
        noise: Scale of the camera's noise, the X-ray quanta or the speckle, 0 to 4; 0 gives clean images.
        variation: Scale of how far healthy anatomy, exposure and colour differ between patients, 0 to 1.5.
            At 0 every patient has the same measures; only what has no measure, such as the exact course of
            a small vessel, still differs.
        shortcut: A marker (a letter on a radiograph, a number beside a fundus, the name of the eye in an
            OCT scan) that goes with the label, -1 to 1. For s > 0 a share s of the diseased images
            carries it and no healthy one; for s < 0 a share -s of the healthy images and no diseased one;
            at 0 nobody does. Train at .9 and test at 0 and -.9 to see whether a model reads the marker. The
            marker is not part of the lesion mask.

    Raises:
        ConfigError: If a value is out of its range.
    """

    kind: PhantomKind = PhantomKind.FUNDUS
    size: int = 256
    prevalence: float = 0.5
    lesion_size: float = 1.0
    lesion_contrast: float = 1.0
    noise: float = 1.0
    variation: float = 1.0
    shortcut: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _as_kind(self.kind))
        if isinstance(self.size, bool) or not isinstance(self.size, int):
            raise ConfigError(f"phantom size is {self.size!r}; give a whole number of pixels.")
        _check_range("size", self.size, SMALLEST_SIZE, LARGEST_SIZE)
        _check_range("prevalence", self.prevalence, 0, 1)
        _check_range("lesion_size", self.lesion_size, 0.5, 2)
        _check_range("lesion_contrast", self.lesion_contrast, 0.5, 2)
        _check_range("noise", self.noise, 0, 4)
        _check_range("variation", self.variation, 0, 1.5)
        _check_range("shortcut", self.shortcut, -1, 1)


def _as_kind(kind: str) -> PhantomKind:
    try:
        return PhantomKind(kind)
    except ValueError:
        names = ", ".join(PhantomKind)
        raise ConfigError(f"phantom kind is {kind!r}; choose one of {names}.") from None


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"phantom {name} is {value}; choose a value from {low:g} to {high:g}.")
