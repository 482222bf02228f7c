r"""Does a map stay the same when the image hardly changes?

Max-sensitivity (`Yeh et al. 2019 <https://arxiv.org/abs/1901.09392>`_, definition 2), relative to the map:

.. math:: \max_{\|\delta\|_\infty \le r} \frac{\|A(x + \delta) - A(x)\|_2}{\|A(x)\|_2}

The maximum is sought among random draws, so that what is found is a lower bound of it: compare only what was sought
with the same number of draws. A map that ignores the image is perfectly robust: read it beside faithfulness.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from softcam.errors import ConfigError, DataError
from softcam.metrics.streaming import ScoreMean

Explain: TypeAlias = Callable[[Tensor], Tensor]
"""Images ``(N, C, H, W)`` to maps ``(N, h, w)``, each of the class that it explains, whatever the noise."""


def max_sensitivity(
    explain: Explain, images: Tensor, *, radius: float = 0.02, draws: int = 10, seed: int = 0
) -> Tensor:
    """Find the largest relative change of each map under noise that no pixel of the image exceeds.

    Every image gets the same draws, so that its score does not depend on what else is in its batch. The cost is one
    explanation more than there are draws.

    Args:
        explain: Images to maps; the class explained has to stay that of the image without noise.
        images: ``(N, C, H, W)``.
        radius: Largest change of a pixel, in the units of ``images``.
        draws: How often noise is drawn, uniformly from the ball.
        seed: Of the noise.

    Returns:
        ``(N,)``, 0 or more; NaN for a map that is zero everywhere, since nothing can be relative to it, and where a
        map is not finite.

    Raises:
        ConfigError: ``draws`` is below 1, or ``radius`` not above 0.
        DataError: ``explain`` does not give one map for each image.

    Example:
        >>> max_sensitivity(lambda images: 3 * images[:, 0], torch.ones(2, 1, 8, 8), radius=0.1) < 0.1
        tensor([True, True])
    """
    if draws < 1 or radius <= 0:
        raise ConfigError(f"max-sensitivity needs a draw or more and a radius above 0, got {draws} and {radius:g}")
    generator = torch.Generator().manual_seed(seed)
    maps = _flat_maps(explain, images)
    largest = maps.new_zeros(len(maps))
    for _ in range(draws):
        noise = radius * (2 * torch.rand(images.shape[1:], generator=generator) - 1)
        change = (_flat_maps(explain, images + noise.to(images)) - maps).norm(dim=1)
        largest = torch.maximum(largest, change)
    length = maps.norm(dim=1)
    sensitivity: Tensor = largest / length
    return sensitivity.where((length > 0) & sensitivity.isfinite(), torch.nan)


class MaxSensitivity(ScoreMean):
    """Mean :func:`max_sensitivity` over images; lower is better.

    Gradients are on within ``explain``, because some explainers need them: wrap one that does not in
    ``torch.inference_mode()``.

    Args:
        radius: Largest change of a pixel, in the units of the images.
        draws: How often noise is drawn.
        seed: Of the noise, the same for every image.
        **settings: Settings of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = MaxSensitivity(radius=0.1)
        >>> metric.update(lambda images: images[:, 0] > 0.5, torch.ones(2, 1, 8, 8))
        >>> metric.compute()
        tensor(0.)
    """

    higher_is_better = False
    plot_upper_bound = None

    def __init__(self, *, radius: float = 0.02, draws: int = 10, seed: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        self.radius, self.draws, self.seed = radius, draws, seed

    def update(self, explain: Explain, images: Tensor) -> None:
        """Add a batch.

        Args:
            explain: Images ``(N, C, H, W)`` to maps ``(N, h, w)``.
            images: ``(N, C, H, W)``.
        """
        with torch.enable_grad():
            self._add(max_sensitivity(explain, images, radius=self.radius, draws=self.draws, seed=self.seed))


def _flat_maps(explain: Explain, images: Tensor) -> Tensor:
    maps = explain(images).detach()
    if maps.ndim != 3 or len(maps) != len(images):
        raise DataError(f"robustness needs maps (N, h, w), got {tuple(maps.shape)} for {len(images)} images")
    return maps.float().flatten(1)
