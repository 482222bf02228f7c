"""Explaining by the gradient of a class's logit by the pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from softcam.explainers.explanation import Explanation, ModelExplainer, of_class

GRADIENT_PASSES = 3
"""What a gradient costs, in forward passes: one forward, and a backward that counts two."""


class Saliency(ModelExplainer):
    """The largest absolute gradient among the channels of each pixel: not signed.

    `Simonyan et al. 2014 <https://arxiv.org/abs/1312.6034>`_, section 3.1.
    """

    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        gradients = input_gradients(self._classifier(classes), images, classes)
        return Explanation.from_pixels(magnitude(gradients), GRADIENT_PASSES)


class SmoothGrad(ModelExplainer):
    """The mean gradient over noisy copies of the image, then as in :class:`Saliency`: not signed.

    `Smilkov et al. 2017 <https://arxiv.org/abs/1706.03825>`_, section 3. All images get the same noise, scaled to
    the range of each, so that a map does not depend on the others of the batch.

    Args:
        name: What tables call it.
        model: Any classifier.
        samples: Noisy copies of each image.
        noise: Standard deviation of the noise, as a share of the image's range.
        batch_size: Copies to differentiate at once.
        seed: Of the noise.
    """

    def __init__(
        self, name: str, model: nn.Module, samples: int = 32, noise: float = 0.15, batch_size: int = 32, seed: int = 0
    ) -> None:
        super().__init__(name, model)
        self.samples, self.noise, self.batch_size, self.seed = samples, noise, batch_size, seed

    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        classify = self._classifier(classes)
        generator = torch.Generator().manual_seed(self.seed)
        spread = self.noise * (images.amax(dim=(1, 2, 3)) - images.amin(dim=(1, 2, 3)))
        totals = torch.zeros_like(images)
        for start in range(0, self.samples, self.batch_size):
            count = min(self.batch_size, self.samples - start)
            noise = torch.randn(count, *images.shape[1:], generator=generator).to(images)
            for total, image, wanted, scale in zip(totals, images, classes, spread, strict=True):
                total += input_gradients(classify, image + scale * noise, wanted.expand(count)).sum(dim=0)
        return Explanation.from_pixels(magnitude(totals / self.samples), self.samples * GRADIENT_PASSES)


def input_gradients(classify: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor) -> Tensor:
    """Return the gradient of each image's logit for its class by its pixels, ``(N, C, H, W)``."""
    images = images.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(of_class(classify(images), classes).sum(), images)
    return gradients


def magnitude(gradients: Tensor) -> Tensor:
    """Return the largest absolute gradient ``(N, H, W)`` among the channels of ``gradients`` (N, C, H, W)."""
    return gradients.abs().amax(dim=1)
