"""Explainers of a user's own, good and bad."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from softcam.explainers import Explanation

CALLS: list[int] = []
"""How many images each call of :func:`bright` got."""

BAD_IMAGE, NAN_IMAGE = 7, 5
"""The images of tests.evaluation.conftest.write_squares with a square at (0, 8) and at (20, 0)."""


def bright(model: nn.Module) -> Callable[[Tensor, Tensor], Explanation]:
    """Say that the finding is where the image is bright: of the squares, the truth."""

    def explain(images: Tensor, classes: Tensor) -> Explanation:
        CALLS.append(len(images))
        return Explanation.from_pixels(images.mean(dim=1), forward_passes=0.5)

    return explain


def fails_on_one(model: nn.Module) -> Callable[[Tensor, Tensor], Explanation]:
    """Raise on one image, give NaN on another."""

    def explain(images: Tensor, classes: Tensor) -> Explanation:
        if (images[:, 0, 8:16, 0:8] == 1).flatten(1).all(dim=1).any():
            raise RuntimeError("a corner\nthat I do not like")
        maps = images.mean(dim=1)
        maps[(images[:, 0, 0:8, 20:28] == 1).flatten(1).all(dim=1)] = torch.nan
        return Explanation.from_pixels(maps, forward_passes=1)

    return explain


def fails_always(model: nn.Module) -> Callable[[Tensor, Tensor], Explanation]:
    def explain(images: Tensor, classes: Tensor) -> Explanation:
        raise RuntimeError("never")

    return explain
