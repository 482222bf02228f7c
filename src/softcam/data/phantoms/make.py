"""One phantom from a seed and an index."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from softcam.data.phantoms.canvas import Array, Rng
from softcam.data.phantoms.chest import ChestScene
from softcam.data.phantoms.fundus import FundusScene
from softcam.data.phantoms.marker import draw_marker
from softcam.data.phantoms.oct import OCTScene
from softcam.data.phantoms.options import PhantomKind, PhantomOptions
from softcam.data.phantoms.scene import Scene
from softcam.errors import ConfigError

LESION_THRESHOLD = 0.02
"""Smallest change of a colour, of a range of 1, that makes a pixel part of a lesion."""

_SCENES: dict[PhantomKind, Callable[[PhantomOptions, Rng], Scene]] = {
    PhantomKind.FUNDUS: FundusScene,
    PhantomKind.CHEST: ChestScene,
    PhantomKind.OCT: OCTScene,
}


class _Stream(IntEnum):
    """Independent random streams: what one draws never moves another."""

    ANATOMY = 0
    LESIONS = 1
    NOISE = 2
    MARKER = 3


@dataclass(frozen=True)
class Phantom:
    """A generated image and the truth about it.

    Attributes:
        pixels: 8-bit image, ``(H, W, 3)`` RGB for a fundus, ``(H, W)`` grey for chest and OCT.
        mask: Where the lesions are, ``(H, W)`` bool: exactly the pixels of which painting the lesions, before
            marker and noise, changed a colour by more than `LESION_THRESHOLD`. Empty for a healthy image.
        label: 0 healthy, 1 diseased.
        lesions: Kind of lesion to its part of ``mask``; the parts are disjoint and make up the whole. A pixel
            belongs to the kind that changed it most.
        marker: Where the planted shortcut was drawn, ``(H, W)`` bool; empty where it was not.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    label: int
    lesions: dict[str, NDArray[np.bool_]]
    marker: NDArray[np.bool_]


def make_phantom(options: PhantomOptions, seed: int, index: int, *, label: int | None = None) -> Phantom:
    """Make one phantom; the same arguments give the same bytes, in any process and any order.

    Anatomy, lesions, marker and noise come from random streams of their own, so the healthy and the diseased
    phantom of one seed and index are the same patient: before noise they are equal outside the mask, up to
    `LESION_THRESHOLD`.

    Args:
        options: What the set of phantoms looks like.
        seed: Names the set, 0 or more.
        index: Names the phantom in the set, 0 or more.
        label: 0 or 1 to force health or disease; None for the label that the prevalence gives this index.

    Returns:
        The phantom.

    Raises:
        ConfigError: If seed or index is negative, or the label is none.

    Example:
        >>> phantom = make_phantom(PhantomOptions(kind="fundus", size=64), seed=0, index=0, label=1)
        >>> phantom.pixels.shape, phantom.label, bool(phantom.mask.any())
        ((64, 64, 3), 1, True)
    """
    _check_names(seed, index, label)
    label = label_of(options, seed, index) if label is None else label
    scene = _SCENES[options.kind](options, _stream(seed, index, _Stream.ANATOMY))
    clean, mask, lesions = _paint(scene, _stream(seed, index, _Stream.LESIONS) if label else None)
    clean, marker = draw_marker(clean, options, label, _stream(seed, index, _Stream.MARKER))
    recorded = scene.with_noise(clean, _stream(seed, index, _Stream.NOISE))
    return Phantom(_to_bytes(recorded), mask, label, lesions, marker)


def label_of(options: PhantomOptions, seed: int, index: int) -> int:
    """Label of an index: 1 as often as the prevalence asks, spread evenly.

    Args:
        options: Holds the prevalence.
        seed: Shifts where the ones fall.
        index: The phantom's index.

    Returns:
        0 or 1. Among any n consecutive indices, ``n * prevalence`` rounded up or down are 1.
    """
    shift = float(np.random.default_rng(seed).uniform())
    before, after = (math.floor(round(k * options.prevalence + shift, 9)) for k in (index, index + 1))
    return after - before


def _stream(seed: int, index: int, stream: _Stream) -> Rng:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, stream)))


def _paint(scene: Scene, rng: Rng | None) -> tuple[Array, NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
    """The clean image, its lesion mask, and the mask's parts; without a stream, no lesions."""
    stages = dict(scene.with_lesions(rng)) if rng is not None else {}
    images = [scene.healthy, *stages.values()]
    mask = _change(images[0], images[-1]) > LESION_THRESHOLD
    if not stages:
        return images[-1], mask, {}
    steps = [_change(before, after) for before, after in pairwise(images)]
    strongest = np.argmax(steps, axis=0)
    return images[-1], mask, {kind: mask & (strongest == k) for k, kind in enumerate(stages)}


def _change(before: Array, after: Array) -> Array:
    """Largest change of a colour, ``(H, W)``."""
    difference = after - before
    largest: Array = np.abs(difference, out=difference).max(axis=0)
    return largest


def _to_bytes(image: Array) -> NDArray[np.uint8]:
    """``(C, H, W)`` in [0, 1] to ``(H, W, C)``, or ``(H, W)`` for one channel."""
    levels = image * np.float32(255)
    np.clip(np.rint(levels, out=levels), 0, 255, out=levels)
    rounded = levels.astype(np.uint8)
    return rounded[0] if len(rounded) == 1 else np.ascontiguousarray(rounded.transpose(1, 2, 0))


def _check_names(seed: int, index: int, label: int | None) -> None:
    for name, value in (("seed", seed), ("index", index)):
        if value < 0:
            raise ConfigError(f"phantom {name} is {value}; give 0 or more.")
    if label not in (None, 0, 1):
        raise ConfigError(f"phantom label is {label!r}; give 0 (healthy), 1 (diseased) or None.")
