"""What a conversion found and did."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ConversionReport:
    """What :func:`softcam.convert` found at the end of a network, and what became of it.

    Attributes:
        exact: Whether the logits are those of the source network: ``max_difference`` is at most 1e-4
            (relative to the largest logit where that exceeds 1).
        max_difference: Largest absolute difference between the logits of the source and of the converted
            network, in float32 and eval mode, on random inputs of two sizes. ``nan`` where there is
            nothing to compare, because the evidence layer is new.
        head: What was found after the last feature map, in words.
        reason: Why the conversion is exact, approximate, or new, in one sentence.
        stages: The nodes of the network whose feature maps carry evidence.
        feature_channels: Channels of each of these feature maps.
    """

    exact: bool
    max_difference: float
    head: str
    reason: str
    stages: tuple[str, ...]
    feature_channels: tuple[int, ...]

    def __str__(self) -> str:
        """One line for a log."""
        compared = not math.isnan(self.max_difference)
        difference = f" (largest logit difference {self.max_difference:.2g})" if compared else ""
        return (
            f"{'exact' if self.exact else 'not exact'}{difference}; head: {self.head}; "
            f"evidence on {', '.join(self.stages)}; {self.reason}"
        )
