"""How feature maps lie in memory: channels first, channels last, or as a sequence of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from softcam.errors import ConfigError

_MOST_EXTRA_TOKENS = 8


class Order(StrEnum):
    """What the dimensions of a feature map mean.

    Attributes:
        CHANNELS_FIRST: ``(N, D, h, w)``.
        CHANNELS_LAST: ``(N, h, w, D)``.
        TOKENS: ``(N, extra + h·w, D)``: tokens that belong to no place, then those of the image row by row.
    """

    CHANNELS_FIRST = "channels first"
    CHANNELS_LAST = "channels last"
    TOKENS = "tokens"


@dataclass(frozen=True)
class Layout:
    """The layout of one feature map.

    Attributes:
        order: What its dimensions mean.
        extra: Tokens in front that belong to no place (class token, registers).
    """

    order: Order = Order.CHANNELS_FIRST
    extra: int = 0

    @classmethod
    def of(cls, shape: Sequence[int], image: Sequence[int]) -> Layout | None:
        """Recognise a layout by its grid, which has the proportions of the image.

        Args:
            shape: Shape of the value.
            image: Spatial size of the image.

        Returns:
            The layout; None for a value that is no map.
        """
        dims = len(image)
        if len(shape) == dims + 2:
            last = _fits(shape[1:-1], image) and not _fits(shape[2:], image)
            return cls(Order.CHANNELS_LAST if last else Order.CHANNELS_FIRST)
        if len(shape) != 3 or dims != 2:
            return None
        for extra in range(_MOST_EXTRA_TOKENS + 1):
            if shape[1] - extra > 1 and _grid(shape[1] - extra, image) is not None:
                return cls(Order.TOKENS, extra)
        return None

    def map_shape(self, shape: Sequence[int], image: Sequence[int]) -> tuple[int, ...]:
        """Return the shape ``(N, D, h, w)`` of the map for a value of ``shape``."""
        if self.order is Order.CHANNELS_FIRST:
            return tuple(shape)
        if self.order is Order.CHANNELS_LAST:
            return (shape[0], shape[-1], *shape[1:-1])
        return (shape[0], shape[2], *(_grid(shape[1] - self.extra, image) or ()))


def _fits(grid: Sequence[int], image: Sequence[int]) -> bool:
    """Return whether ``grid`` has the proportions of ``image`` (of its slices), up to the rounding of its sides."""
    if len(image) < 2:
        return True
    height, width = image[-2:]
    return abs(grid[-2] * width - grid[-1] * height) < max(height, width)


def _grid(cells: int, image: Sequence[int]) -> tuple[int, int] | None:
    """Return the height and width of a grid of ``cells`` with the proportions of the image."""
    ideal = math.sqrt(cells * image[0] / image[1])
    fitting = [h for h in range(1, cells + 1) if cells % h == 0 and _fits((h, cells // h), image)]
    best = min(fitting, key=lambda h: abs(h - ideal), default=None)
    return None if best is None else (best, cells // best)


def channels_first(features: Tensor) -> Tensor:
    """Turn ``(N, h, w, D)`` into ``(N, D, h, w)``."""
    return features.movedim(-1, 1)


def channels_last(features: Tensor) -> Tensor:
    """Turn ``(N, D, h, w)`` into ``(N, h, w, D)``."""
    return features.movedim(1, -1)


def tokens_to_map(tokens: Tensor, images: Tensor, extra: int) -> Tensor:
    """Turn ``(N, extra + h·w, D)`` into ``(N, D, h, w)``.

    Raises:
        ConfigError: No grid of as many cells has the proportions of the images.
    """
    if has_torch_function((tokens, images)):  # keeps it one node of a graph
        traced: Tensor = handle_torch_function(tokens_to_map, (tokens, images), tokens, images, extra)
        return traced
    grid = _grid(tokens.shape[1] - extra, images.shape[2:])
    if grid is None:
        raise ConfigError(
            f"{tokens.shape[1] - extra} tokens make no grid with the proportions of images of "
            f"{images.shape[2]}×{images.shape[3]} px; use images whose sides are multiples of the patch size"
        )
    return tokens[:, extra:].transpose(1, 2).reshape(len(tokens), -1, *grid)


def map_to_tokens(features: Tensor, extra: int) -> Tensor:
    """Turn ``(N, D, h, w)`` into ``(N, extra + h·w, D)``; extra tokens are the mean of the others."""
    tokens = features.flatten(2).transpose(1, 2)
    if not extra:
        return tokens
    return torch.cat([tokens.mean(dim=1, keepdim=True).expand(-1, extra, -1), tokens], dim=1)
