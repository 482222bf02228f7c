"""What an implant shall be: kind, size, contrast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from softcam.errors import ConfigError


class ImplantKind(StrEnum):
    """What the images show, and with it what is put into them."""

    CHEST = "chest"
    FUNDUS = "fundus"


@dataclass(frozen=True)
class ImplantOptions:
    """What is put into healthy images.

    Attributes:
        kind: ``chest`` (opacities in frontal radiographs) or ``fundus`` (exudates, haemorrhages and
            microaneurysms in colour photographs of the retina).
        lesion_size: Length scale of the lesions, 0.5 to 2; lengths are relative to the lungs or the retina.
        contrast: Scale of how strongly lesions change the image, 0.5 to 2.

    Raises:
        ConfigError: If a value is out of its range.
    """

    kind: ImplantKind
    lesion_size: float = 1.0
    contrast: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("lesion_size", self.lesion_size), ("contrast", self.contrast)):
            if not (math.isfinite(value) and 0.5 <= value <= 2):
                raise ConfigError(f"implant {name} is {value}; choose a value from 0.5 to 2.")
