"""What stands between an image and a network, in training and ever after: size, channels, mean and deviation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from softcam.data.images import match_channels
from softcam.errors import ConfigError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """Brings a decoded image into the form a network was trained on.

    Calling it with pixels ``(C, H, W)`` in [0, 1] returns ``(channels, h, w)``, resized (bilinear with
    antialiasing; the whole image, stretched if its shape differs) and normalised.

    Attributes:
        size: Height and width of the network's input in pixels.
        channels: Channels of the network's input.
        mean: What is subtracted from each channel.
        std: What each channel is then divided by.

    Raises:
        ConfigError: If a size is not positive, a deviation is not, or there is not one mean and one deviation
            per channel.

    Example:
        >>> import torch
        >>> preprocessing = Preprocessing(size=(2, 2), channels=1, mean=(0.5,), std=(0.25,))
        >>> preprocessing(torch.ones(1, 4, 4))
        tensor([[[2., 2.],
                 [2., 2.]]])
    """

    size: tuple[int, int]
    channels: int = 3
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ConfigError(f"size is {self.size}; it must be a height and a width of at least 1 px.")
        if self.channels < 1:
            raise ConfigError(f"channels is {self.channels}; it must be at least 1.")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ConfigError(f"{name} has {len(values)} values; give one for each of {self.channels} channels.")
            if not all(math.isfinite(value) for value in values):
                raise ConfigError(f"{name} is {values}; it must be finite.")
        if min(self.std) <= 0:
            raise ConfigError(f"std is {self.std}; every deviation must be above 0.")

    def __call__(self, pixels: Tensor) -> Tensor:
        """Resize and normalise ``(C, H, W)`` in [0, 1] to ``(channels, h, w)``."""
        return self.normalize(self.resize(pixels))

    def resize(self, pixels: Tensor) -> Tensor:
        """Resize ``(C, H, W)`` to ``(C, h, w)``."""
        resized: Tensor = F.resize(pixels, list(self.size), antialias=True)
        return resized

    def normalize(self, pixels: Tensor) -> Tensor:
        """Match the channels of ``(C, h, w)`` in [0, 1], subtract the mean, divide by the deviation."""
        mean, std = self._statistics(pixels)
        return (match_channels(pixels, self.channels) - mean).div_(std)

    def denormalize(self, inputs: Tensor) -> Tensor:
        """Undo `normalize`: network inputs ``(..., channels, h, w)`` back to [0, 1], to be looked at."""
        mean, std = self._statistics(inputs)
        return inputs * std + mean

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON and YAML can hold, for `from_dict`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Build from what `to_dict` returned.

        Raises:
            ConfigError: If a field is missing, unknown, or has a value it cannot have.
        """
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            raise ConfigError(
                f"Preprocessing has the fields {sorted(values)}; it must have exactly {sorted(expected)}."
            )
        try:
            return cls(
                size=_whole_numbers(values["size"]),
                channels=int(values["channels"]),
                mean=tuple(float(value) for value in values["mean"]),
                std=tuple(float(value) for value in values["std"]),
            )
        except (TypeError, ValueError):
            raise ConfigError(
                f"Preprocessing is {dict(values)}; size must be [height, width], mean and std one number per channel."
            ) from None

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = torch.tensor([self.mean, self.std], dtype=like.dtype, device=like.device)[..., None, None]
        return mean, std


def _whole_numbers(values: Sequence[Any]) -> tuple[int, int]:
    height, width = (int(value) for value in values)
    return height, width


PREPROCESSINGS = {
    "imagenet": Preprocessing((224, 224)),
    "fundus": Preprocessing((512, 512), 3, (0.4133, 0.2724, 0.1859), (0.2935, 0.2003, 0.1547)),
    "oct": Preprocessing((496, 496), 3, (0.19076,) * 3, (0.22165,) * 3),
    "chest": Preprocessing((512, 512), 3, (0.48897,) * 3, (0.24585,) * 3),
}
"""ImageNet's statistics, and size and statistics of the published recipes by task (Djoumessi & Berens 2026)."""
