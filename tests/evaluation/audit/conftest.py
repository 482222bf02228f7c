"""Noise images whose sick half has a white square in the middle, or only a mark in a corner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.manifest import Annotations, Box, Manifest, Sample, Split

SIDE = 96


def draw(path: Path, rng: np.random.Generator, *, square: bool, mark: bool) -> tuple[Path, Annotations]:
    """Write an image; return it and, for a square, its box."""
    pixels = rng.integers(20, 90, (SIDE, SIDE, 3), dtype=np.uint8)
    boxes: tuple[Box, ...] = ()
    if square:
        x, y = (int(value) for value in rng.integers(26, 50, 2))
        pixels[y : y + 20, x : x + 20] = 255
        boxes = (Box(x, y, 20, 20),)
    if mark:
        pixels[4:16, 84:87] = pixels[13:16, 78:87] = 255
    Image.fromarray(pixels).save(path)
    return path, Annotations(boxes=boxes)


def write_set(folder: Path, *, trap: bool, count: int = 100, seed: int = 0) -> Manifest:
    """Half train, half test, two images of each patient, every other sick.

    Args:
        folder: Where to write.
        trap: Sick images have a mark in the upper right corner, nine of ten, and no square; else only a square.
        count: How many images.
        seed: Of the noise.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        sick = index % 2 == 1
        marked = sick and trap and index % 20 != 1
        image, annotations = draw(folder / f"{index:03}.png", rng, square=sick and not trap, mark=marked)
        split = Split.TRAIN if index < count // 2 else Split.TEST
        samples.append(Sample(image, (int(sick),), f"patient {index // 2}", split, annotations))
    return Manifest(tuple(samples), ("healthy", "sick")).write(folder / "manifest.csv")


@pytest.fixture(scope="session")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_set(tmp_path_factory.mktemp("audit") / "trap", trap=True)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_set(tmp_path_factory.mktemp("audit") / "clean", trap=False)
