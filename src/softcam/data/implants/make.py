"""One implant: a healthy image in, the image with lesions and the exact truth about them out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softcam.data.implants.chest import implant_opacities
from softcam.data.implants.fundus import implant_lesions
from softcam.data.implants.options import ImplantKind, ImplantOptions
from softcam.data.phantoms.canvas import Array, Rng
from softcam.data.phantoms.make import LESION_THRESHOLD
from softcam.errors import DataError

CHANNELS = {ImplantKind.CHEST: 1, ImplantKind.FUNDUS: 3}

_PAINTERS: dict[ImplantKind, Callable[[Array, ImplantOptions, Rng], Iterator[tuple[str, Array]]]] = {
    ImplantKind.CHEST: implant_opacities,
    ImplantKind.FUNDUS: implant_lesions,
}
_ATTEMPTS = 8
_VISIBLE = 3 * LESION_THRESHOLD  # at a contrast of 1: what the strongest lesion of an image changes at least


@dataclass(frozen=True, eq=False)
class Implant:
    """A healthy image with generated lesions in it.

    Attributes:
        pixels: ``(C, H, W)`` float32 in [0, 1].
        mask: Bool ``(H, W)``: exactly the pixels of which the lesions changed a colour by more than
            `LESION_THRESHOLD`.
        lesions: The kinds of lesion, in the order in which they were painted.
    """

    pixels: Array
    mask: NDArray[np.bool_]
    lesions: tuple[str, ...]


def make_implant(image: Array, options: ImplantOptions, seed: int, name: str) -> Implant:
    """Put lesions into a healthy image; the same arguments give the same lesions.

    Args:
        image: ``(C, H, W)`` float32 in [0, 1], one channel for a radiograph, three for a fundus; not changed.
        options: What to put in.
        seed: Another seed, other lesions.
        name: Names the image; images of different names get different lesions.

    Returns:
        The image with lesions.

    Raises:
        DataError: If lungs or retina are not found, or are so bright or dark all over that no lesion would
            be seen.
    """
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(digest, attempt)))
        stages = dict(_PAINTERS[options.kind](image, options, rng))
        painted = np.clip(list(stages.values())[-1], 0, 1).astype(np.float32)
        change = np.abs(painted - image).max(axis=0)
        if change.max() >= _VISIBLE * min(1.0, options.contrast):
            return Implant(painted, change > LESION_THRESHOLD, tuple(map(str, stages)))
    raise DataError("no lesion would be seen in it; leave it out or raise the contrast.")
