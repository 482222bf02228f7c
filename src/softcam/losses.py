"""Penalties on class evidence maps: ElasticNet (sparse evidence) and mix consistency (local evidence)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softcam.errors import ConfigError


class Convention(StrEnum):
    """What the weights of :class:`ElasticNet` multiply.

    Attributes:
        MEAN: The mean over images, classes and cells, so that a weight carries over to another resolution,
            batch size or number of classes.
        PAPER: As in the authors' code: the sum over classes and cells of the first image of the batch, and
            the unsquared norm for L2. For reproduction; ``λ_mean = λ_sum · K · h · w`` for L1.
    """

    MEAN = "mean"
    PAPER = "paper"


class ElasticNet(nn.Module):
    """ElasticNet penalty on class evidence maps, ``λ1·|A| + λ2·A²``.

    Djoumessi & Berens (2026), equation 4. With the mean convention the penalty of a batch is the mean of the
    penalties of its images: gradient accumulation over equal parts and DDP give the gradient of the whole
    batch.

    Args:
        l1: Weight λ1 ≥ 0 of the absolute values; makes evidence sparse.
        l2: Weight λ2 ≥ 0 of the squares (of the norm, in the paper's convention); makes evidence small.
        convention: What the weights multiply.

    Raises:
        ConfigError: A weight is negative or not finite.

    Shape:
        maps ``(N, K, h, w)``, as ``model(x, return_evidence=True)`` gives them, to a scalar.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, convention: Convention = Convention.MEAN) -> None:
        super().__init__()
        self.l1 = _checked_weight("l1", l1)
        self.l2 = _checked_weight("l2", l2)
        self.convention = Convention(convention)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the penalty, a scalar ≥ 0 in float32 or wider."""
        maps = maps if maps.dtype == torch.float64 else maps.float()
        if self.convention is Convention.PAPER:
            first = maps[0]
            norm: Tensor = torch.linalg.vector_norm(first)
            return self.l1 * first.abs().sum() + self.l2 * norm
        return self.l1 * maps.abs().mean() + self.l2 * maps.square().mean()

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"l1={self.l1}, l2={self.l2}, convention={self.convention}"


@dataclass(frozen=True)
class MixedImages:
    """Images composed of two images each, and what their evidence should be composed of.

    Attributes:
        images: ``(M, C, H, W)``, each ``m·x_a + (1−m)·x_b``.
        first: Indices ``(M,)`` of ``x_a`` in the batch.
        second: Indices ``(M,)`` of ``x_b``.
        mask: ``(M, 1, h, w)``, 1 where the evidence should be that of ``x_a``, 0 where that of ``x_b``.
    """

    images: Tensor
    first: Tensor
    second: Tensor
    mask: Tensor

    def compose(self, maps: Tensor) -> Tensor:
        """Compose the evidence ``(N, K, h, w)`` of the batch as the images were composed."""
        return torch.where(self.mask, maps[self.first], maps[self.second])


class MixConsistency(nn.Module):
    """Asks each cell of the evidence to speak of its own place.

    An evidence map can add up to the logit and still show the wrong place, because a cell may depend on the
    whole image. Two images are composed along a random rectangle that is aligned to the cells of the map,
    ``x_mix = m·x_a + (1−m)·x_b``, and the evidence is asked to compose in the same way::

        L_mix = mean | A(x_mix) − (m·A(x_a) + (1−m)·A(x_b)) |

    No annotation is needed. Kin to CutMix (Yun 2019), SEAM (Wang 2020) and Puzzle-CAM (Jo & Yu 2021).

    The simple form, one more forward pass on the mixed images::

        loss = criterion(logits, y) + MixConsistency()(model, images, maps)

    In a training loop it is better to put the mixed images through the network together with the batch: the
    normalisation layers then see one batch, and DDP one forward pass::

        mixed = mix.sample(images, model.map_size(*images.shape[2:]))
        logits, maps = model(torch.cat([images, mixed.images]), return_evidence=True)
        loss = criterion(logits[:n], y) + mix.penalty(maps[n:], mixed.compose(maps[:n]))

    Args:
        weight: μ ≥ 0, multiplies the penalty.
        fraction: Mixed images as a share of the batch, in (0, 1]: what it costs.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(self, weight: float = 1.0, fraction: float = 0.5) -> None:
        super().__init__()
        self.weight = _checked_weight("weight", weight)
        if not 0 < fraction <= 1:
            raise ConfigError(f"MixConsistency: fraction is {fraction}; it must lie in (0, 1]")
        self.fraction = fraction

    def forward(self, model: nn.Module, images: Tensor, maps: Tensor) -> Tensor:
        """Return ``weight · L_mix``, a scalar.

        Args:
            model: A SoftCAM, or anything with ``model(x, return_evidence=True)``.
            images: The batch ``(N, C, H, W)``.
            maps: Its evidence ``(N, K, h, w)`` with gradients, as the model has just given it.
        """
        mixed = self.sample(images, maps.shape[2:])
        _, mixed_maps = model(mixed.images, return_evidence=True)
        return self.penalty(mixed_maps, mixed.compose(maps))

    def sample(self, images: Tensor, map_size: torch.Size | tuple[int, ...]) -> MixedImages:
        """Compose ``fraction · N`` images (at least one) along rectangles of whole cells.

        Args:
            images: The batch ``(N, C, H, W)``; the pairs are drawn from it.
            map_size: Size ``(h, w)`` of the evidence maps for these images.
        """
        count = max(1, round(self.fraction * len(images)))
        order = torch.randperm(len(images))
        first, second = order[:count], order.roll(1)[:count]
        mask = torch.stack([random_rectangle(map_size) for _ in range(count)]).unsqueeze(1)
        mask, first, second = mask.to(images.device), first.to(images.device), second.to(images.device)
        pixels = F.interpolate(mask.to(images.dtype), images.shape[2:], mode="nearest-exact") > 0.5
        return MixedImages(torch.where(pixels, images[first], images[second]), first, second, mask)

    def penalty(self, mixed_maps: Tensor, composed_maps: Tensor) -> Tensor:
        """Return ``weight · mean |mixed − composed|`` for maps of equal shape ``(M, K, h, w)``."""
        return self.weight * (mixed_maps - composed_maps).abs().mean()

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"weight={self.weight}, fraction={self.fraction}"


def random_rectangle(size: torch.Size | tuple[int, ...]) -> Tensor:
    """Draw a random axis-aligned box on a grid, of a quarter to three quarters of its cells along each axis.

    Args:
        size: Cells along each axis, ``(h, w)`` or ``(d, h, w)``.

    Returns:
        A bool tensor of that size, True inside, on the CPU, from torch's global generator. Never empty, and never
        whole along an axis of two cells or more.
    """
    mask = torch.ones(tuple(size), dtype=torch.bool)
    for axis, cells in enumerate(size):
        shortest, longest = -(-cells // 4), max(1, 3 * cells // 4)
        length = int(torch.randint(shortest, longest + 1, ()))
        start = int(torch.randint(0, cells - length + 1, ()))
        inside = torch.zeros(cells, dtype=torch.bool)
        inside[start : start + length] = True
        mask &= inside.view(-1, *[1] * (len(size) - axis - 1))
    return mask


def _checked_weight(name: str, value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(f"{name} is {value}; a penalty's weight is a finite number of at least 0")
    return value
