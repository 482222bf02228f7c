"""What the three kinds of phantom have in common: a clean healthy image, and ways to add to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from softcam.data.phantoms.canvas import Array, Rng


@dataclass(frozen=True)
class Measures:
    """Draws the measures in which healthy patients differ.

    Attributes:
        rng: Source of the random numbers.
        variation: Scale of the differences; at 0 everyone has the mean.
    """

    rng: Rng
    variation: float

    def between(self, low: float, high: float) -> float:
        """A value around the middle of the range; inside it for a variation of 1 or less."""
        return (low + high) / 2 + self.variation * (high - low) * (self.rng.uniform() - 0.5)

    def side(self) -> int:
        """-1 or 1, equally often."""
        return 1 if self.rng.uniform() < 0.5 else -1

    def happens(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.uniform() < probability)


class Scene(Protocol):
    """One patient, drawn but not yet photographed.

    Images are clean (without noise), float32 between 0 and 1, ``(C, size, size)``.
    """

    @property
    def healthy(self) -> Array:
        """The clean image without lesions, ``(C, size, size)``."""

    def with_lesions(self, rng: Rng) -> Iterator[tuple[str, Array]]:
        """Paint lesions, one kind after the other.

        Args:
            rng: Source of number, place and shape of the lesions.

        Yields:
            The kind of lesion and the clean image with it and all kinds before.
        """

    def with_noise(self, image: Array, rng: Rng) -> Array:
        """The image as the device would record it.

        Args:
            image: A clean image.
            rng: Source of the noise; how many numbers are drawn does not depend on the image.

        Returns:
            The recorded image, not clipped.
        """
