"""How training images are varied, and the published ways of varying them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from softcam.errors import ConfigError

Range = tuple[float, float]


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied; the defaults vary nothing.

    Cropping, flips, rotation and translation are applied in this order, then the colours. Places outside the
    image are black. ``scale`` and ``ratio`` mean what they say: a crop of 1.15 times the image's area shows all
    of it, smaller, on black. (torchvision's `RandomResizedCrop`, which the published code uses, draws again
    until a crop fits and then falls back to the whole image, so its scales above 1 never happen.)

    Attributes:
        p: Probability of cropping, of rotation, of translation and of changing the colours, each.
        scale: Area of the crop as a share of the image's.
        ratio: Width to height of the crop, relative to the image's.
        horizontal_flip: Probability of mirroring left and right.
        vertical_flip: Probability of mirroring top and bottom.
        rotation: Greatest angle in degrees, either way.
        translation: Greatest shift as a share of width and height, either way.
        brightness: Factor on all values.
        contrast: Factor on the distance from the image's mean.
        saturation: Factor on the distance from grey.
        hue: Greatest shift of the hue as a share of the colour circle, either way.

    Raises:
        ConfigError: If a value is out of its range.
    """

    p: float = 0.5
    scale: Range = (1.0, 1.0)
    ratio: Range = (1.0, 1.0)
    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    rotation: float = 0.0
    translation: float = 0.0
    brightness: Range = (1.0, 1.0)
    contrast: Range = (1.0, 1.0)
    saturation: Range = (1.0, 1.0)
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("p", "horizontal_flip", "vertical_flip", "translation"):
            self._check(name, 0 <= getattr(self, name) <= 1, "lie in [0, 1]")
        self._check("rotation", 0 <= self.rotation <= 180, "lie in [0, 180] degrees")
        self._check("hue", 0 <= self.hue <= 0.5, "lie in [0, 0.5]")
        for name in ("scale", "ratio", "brightness", "contrast", "saturation"):
            low, high = getattr(self, name)
            self._check(name, 0 < low <= high < math.inf, "be a lowest and a highest factor above 0")

    def _check(self, name: str, valid: bool, requirement: str) -> None:
        if not valid:
            raise ConfigError(f"{name} is {getattr(self, name)}; it must {requirement}.")


_RETINA = Augmentation(
    scale=(0.87, 1.15),
    ratio=(0.7, 1.3),
    horizontal_flip=0.5,
    vertical_flip=0.5,
    rotation=180.0,
    translation=0.2,
    brightness=(0.8, 1.2),
    contrast=(0.8, 1.2),
    saturation=(0.8, 1.2),
    hue=0.1,
)

AUGMENTATIONS = {
    "none": Augmentation(),
    "fundus": _RETINA,
    "oct": _RETINA,
    "chest": Augmentation(
        horizontal_flip=0.5, vertical_flip=0.5, rotation=30.0, contrast=(0.8, 1.4), brightness=(0.8, 1.1)
    ),
}
"""No augmentation, and those of the published recipes by task (Djoumessi & Berens 2026)."""
