"""Integrated gradients, from black or from a blur."""

from __future__ import annotations

import math
from enum import StrEnum

import torch
from torch import Tensor, nn

from softcam.explainers.captum import load_captum
from softcam.explainers.explanation import Explanation, ModelExplainer
from softcam.explainers.gradients import GRADIENT_PASSES


class Baseline(StrEnum):
    """Where the path of integrated gradients starts.

    Attributes:
        ZERO: The image of zeros; after normalisation that is the mean colour of the data set.
        BLUR: The image itself, blurred: a Gaussian with a standard deviation of 1/16 of its shorter side (20 px
            at 299 px are usual, `Sturmfels et al. 2020 <https://distill.pub/2020/attribution-baselines>`_).
    """

    ZERO = "zero"
    BLUR = "blur"

    def of(self, images: Tensor) -> Tensor:
        """Return the baseline of each of the images ``(N, C, H, W)``."""
        return torch.zeros_like(images) if self is Baseline.ZERO else _blurred(images)


class IntegratedGradients(ModelExplainer):
    """Gradients along the straight path from a baseline, times the way, summed over channels: signed.

    `Sundararajan et al. 2017 <https://arxiv.org/abs/1703.01365>`_, eq. 1, by captum with Gauss-Legendre
    quadrature. In logit units: the sum of a map is the logit less that of the baseline, up to the error of the
    quadrature.

    Args:
        name: What tables call it.
        model: Any classifier.
        baseline: Where the path starts.
        steps: Points on the path.
        batch_size: Images to differentiate at once, or the size of the batch where that is larger.

    Raises:
        ConfigError: captum is not installed.
    """

    def __init__(
        self, name: str, model: nn.Module, baseline: Baseline = Baseline.ZERO, steps: int = 50, batch_size: int = 32
    ) -> None:
        super().__init__(name, model)
        self.baseline, self.steps, self.batch_size = baseline, steps, batch_size
        self._attr = load_captum(name)

    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        attributions: Tensor = self._attr.IntegratedGradients(self._classifier(classes)).attribute(
            images,
            baselines=self.baseline.of(images),
            target=classes,
            n_steps=self.steps,
            internal_batch_size=max(self.batch_size, len(images)),
        )
        return Explanation.from_pixels(attributions.sum(dim=1), self.steps * GRADIENT_PASSES)


def _blurred(images: Tensor) -> Tensor:
    from torchvision.transforms.v2.functional import gaussian_blur

    side = min(images.shape[2:])
    radius = min(math.ceil(3 * side / 16), side - 1)
    reach, sigma = 2 * radius + 1, [side / 16] * 2
    rows: Tensor = gaussian_blur(images, [reach, 1], sigma)  # one axis at a time: torchvision convolves in 2-D
    both: Tensor = gaussian_blur(rows, [1, reach], sigma)
    return both
