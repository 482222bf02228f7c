"""Maps that look at no model: what a score is worth by chance."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from softcam.explainers.explanation import Explanation, check_batch


class RandomMap:
    """Independent uniform noise in [0, 1) for every pixel: not signed.

    The noise of an image follows from its pixels and the seed, so that it depends neither on the batch nor on the
    order of the images.

    Args:
        name: What tables call it.
        seed: Of the noise.
    """

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self.seed = seed

    def __call__(self, images: Tensor, classes: Tensor) -> Explanation:
        """Return noise ``(N, H, W)``."""
        check_batch(images, classes)
        maps = torch.stack([self._noise(image) for image in images.detach().cpu()])
        return Explanation.from_pixels(maps.to(images.device), forward_passes=0)

    def _noise(self, image: Tensor) -> Tensor:
        content = image.double().contiguous().numpy().tobytes()
        digest = hashlib.blake2b(content, digest_size=8, salt=self.seed.to_bytes(8, "little", signed=True)).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "little", signed=True))
        return torch.rand(image.shape[1:], generator=generator)


class UniformMap:
    """Ones everywhere: not signed.

    Args:
        name: What tables call it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, images: Tensor, classes: Tensor) -> Explanation:
        """Return ones ``(N, H, W)``."""
        check_batch(images, classes)
        maps = torch.ones(len(images), *images.shape[2:], device=images.device)
        return Explanation.from_pixels(maps, forward_passes=0)
