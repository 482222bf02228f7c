"""Whether an exported network gives what the network in PyTorch gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from softcam.data.images import read_image
from softcam.data.preprocessing import Preprocessing
from softcam.errors import ConversionError

TOLERANCE = 1e-4
"""Largest difference allowed: absolute, and relative to the largest value of an output where that exceeds 1."""

Network = Callable[[Tensor], Mapping[str, Tensor]]
"""Images ``(N, C, H, W)`` in, outputs by name out."""


@dataclass(frozen=True)
class Agreement:
    """How far two networks are from one another.

    Attributes:
        generated: Generated images on which they were compared, of several sizes.
        given: Images of the user's own.
        differences: The largest difference of each output, absolute, or relative to the largest value of the output
            where that exceeds 1.
    """

    generated: int
    given: int
    differences: Mapping[str, float]

    @property
    def largest(self) -> float:
        """The largest difference of all outputs."""
        return max(self.differences.values())


def compare_networks(
    reference: Network, exported: Network, preprocessing: Preprocessing, images: Iterable[Path] = ()
) -> Agreement:
    """Run two networks on generated images, of the size of the preprocessing and others, and on given ones.

    Args:
        reference: The network in PyTorch.
        exported: The exported one.
        preprocessing: What they ask of images.
        images: Image files of the user's own.

    Raises:
        ConversionError: They differ by more than `TOLERANCE`.
        DataError: An image cannot be read.
    """
    given = [preprocessing(read_image(path).pixels)[None] for path in images]
    generated = generated_batches(preprocessing)
    worst: dict[str, float] = {}
    for batch in (*generated, *given):
        for name, difference in _differences(reference(batch), exported(batch)).items():
            worst[name] = max(worst.get(name, 0.0), difference)
    for name, difference in worst.items():
        if not difference <= TOLERANCE:
            raise ConversionError(
                f"the exported {name} differ from PyTorch's by {difference:.2g}, more than {TOLERANCE:g}; "
                "nothing was written, so keep using the model in PyTorch, and please report its backbone"
            )
    return Agreement(sum(map(len, generated)), len(given), worst)


def generated_batches(preprocessing: Preprocessing) -> list[Tensor]:
    """Make batches of images for a network: one of the size it expects, three, and two of an odd, larger size.

    The images are smooth noise in [0, 1], normalised, so that they are as bright and as coarse as photographs.
    """
    height, width = preprocessing.size
    generator = torch.Generator().manual_seed(0)
    batches = []
    for count, size in ((1, (height, width)), (3, (height, width)), (2, (height + 33, width + 62))):
        coarse = torch.rand(count, preprocessing.channels, 1 + size[0] // 8, 1 + size[1] // 8, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        batches.append(torch.stack([preprocessing.normalize(image) for image in smooth]))
    return batches


def _differences(expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: _difference(value.double(), got[name].double()) for name, value in expected.items()}


def _difference(expected: Tensor, got: Tensor) -> float:
    if expected.shape != got.shape:
        return math.inf
    difference = float((expected - got).abs().max() / expected.abs().max().clamp(min=1))
    return math.inf if math.isnan(difference) else difference
