from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.phantoms import PhantomKind, PhantomOptions, make_phantom
from softcam.data.sample import Sample, Split

Healthy = Callable[..., list[Sample]]


@pytest.fixture
def healthy(tmp_path: Path) -> Healthy:
    """Write healthy images: drawn ones, two of each patient, the patients spread over the splits."""

    def write(kind: str = "chest", count: int = 8, size: int = 96) -> list[Sample]:
        folder = tmp_path / f"healthy-{kind}"
        folder.mkdir()
        samples = []
        for index in range(count):
            phantom = make_phantom(PhantomOptions(kind=PhantomKind(kind), size=size), 0, index, label=0)
            path = folder / f"{index}.png"
            Image.fromarray(phantom.pixels).save(path)
            split = (Split.TRAIN, Split.TEST)[(index // 2) % 2]
            samples.append(Sample(path, (0,), f"patient {index // 2}", split, extra={"eye": str(index % 2)}))
        return samples

    return write


def image_of(kind: str, index: int = 0, size: int = 128) -> np.ndarray:
    """A healthy image ``(C, size, size)`` in [0, 1]."""
    pixels = make_phantom(PhantomOptions(kind=PhantomKind(kind), size=size), 1, index, label=0).pixels
    image = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(image, dtype=np.float32) / np.float32(255)
