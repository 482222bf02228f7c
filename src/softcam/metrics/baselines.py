"""What takes the place of a removed part of an image.

No choice is free of assumptions: a constant colour is an edge the network has never seen, and to a map that looks for
dark or bright spots it may be evidence itself; a blur keeps the colours and takes the detail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def blurred_baseline(images: Tensor) -> Tensor:
    """Return the images, blurred by a Gaussian with a standard deviation of 1/16 of the shorter side.

    The default of deletion and insertion, as in `Petsiuk et al. 2018 <https://arxiv.org/abs/1806.07421>`_; the
    width is the usual one of a blurred baseline, 20 px at 299 px (`Sturmfels et al. 2020
    <https://distill.pub/2020/attribution-baselines>`_). Edges are reflected.

    Args:
        images: ``(N, C, H, W)``.

    Returns:
        ``(N, C, H, W)``.

    Example:
        >>> image = torch.zeros(1, 1, 16, 16)
        >>> image[..., 8, 8] = 1
        >>> blurred_baseline(image)[0, 0, 8, 7:10]
        tensor([0.0966, 0.1592, 0.0966])
    """
    side = min(images.shape[2:])
    sigma, radius = side / 16, min(math.ceil(3 * side / 16), side - 1)
    distance = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-0.5 * (distance / sigma).square())
    kernel = (weights / weights.sum()).reshape(1, 1, 1, -1)
    planes = F.pad(images.flatten(0, 1).unsqueeze(1), [radius] * 4, mode="reflect")
    blurred: Tensor = F.conv2d(F.conv2d(planes, kernel), kernel.mT)
    return blurred.reshape(images.shape)


def constant_baseline(images: Tensor, colour: float | Sequence[float] = 0.0) -> Tensor:
    """Return images of one colour: zero, or the mean of a data set.

    Args:
        images: ``(N, C, H, W)``.
        colour: One number, or one per channel, in the units of ``images``. Of images normalised with the mean of
            their data set that mean is 0, the baseline of Djoumessi & Berens 2026.

    Returns:
        ``(N, C, H, W)``.

    Example:
        >>> constant_baseline(torch.rand(1, 3, 1, 1), [0.5, 0.25, 0.0]).flatten()
        tensor([0.5000, 0.2500, 0.0000])
    """
    return images.new_tensor(colour).reshape(-1, 1, 1).expand_as(images)
