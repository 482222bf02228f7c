"""Class activation mapping by gradients and by scores: where the last feature map speaks for a class.

The methods are a line or a few each once the network is cut behind its last feature map, and they are written out
here, in torch, on the model's device. pytorch-grad-cam 1.5, against which they are tested where it is right, needs
a module whose output the feature map is (DenseNet has none), stretches each map to [0, 1], and holds all masked
copies of a batch at once for Score-CAM (6 GB for one image of 512 px on ResNet-50); the constant 1e-6 in its
Grad-CAM++ outweighs the squared gradients of a network with global average pooling (2e-9 there), so that it
weights channels by the cube of the gradient instead.

All are published with a final ReLU, which is kept: none of these maps is signed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from softcam.explainers.explanation import Explanation, ModelExplainer, check_logits, of_class
from softcam.explainers.features import split_at_features
from softcam.metrics.localization import upsample_maps

Formula = Callable[[Tensor, Tensor], Tensor]


def grad_cam(features: Tensor, gradients: Tensor) -> Tensor:
    r"""Channels weighted by their mean gradient: :math:`ReLU(\sum_k \bar g_k A_k)`.

    `Selvaraju et al. 2017 <https://arxiv.org/abs/1610.02391>`_, eq. 1 and 2. For a network that ends in global
    average pooling and a linear layer it is the positive part of the class activation map, over the number of cells.

    Args:
        features: The feature map A, ``(N, D, h, w)``.
        gradients: The gradients g of the class's logit by it, ``(N, D, h, w)``.

    Returns:
        ``(N, h, w)``.
    """
    return (gradients.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).relu()


def grad_cam_plus_plus(features: Tensor, gradients: Tensor) -> Tensor:
    r"""Channels weighted by their positive gradients, each cell by :math:`\alpha`.

    `Chattopadhyay et al. 2018 <https://arxiv.org/abs/1710.11063>`_, eq. 19 with the exponential of the logit as
    class score, whose factor :math:`e^S` is the same for the whole map and left out. Where :math:`g \ne 0`,
    :math:`\alpha = g^2 / (2 g^2 + \sum A\, g^3)` is :math:`1 / (2 + g \sum A)`, which needs no constant against
    division by zero for the feature maps of rectifiers. Arguments as in :func:`grad_cam`.
    """
    alphas = 1 / (2 + gradients * features.sum(dim=(2, 3), keepdim=True))
    weights = (alphas * gradients.relu()).sum(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1).relu()


def layer_cam(features: Tensor, gradients: Tensor) -> Tensor:
    r"""Each cell of each channel weighted by its own positive gradient: :math:`ReLU(\sum_k ReLU(g_k) A_k)`.

    `Jiang et al. 2021 <https://ieeexplore.ieee.org/document/9462463>`_, eq. 6 to 8. Arguments as in
    :func:`grad_cam`.
    """
    return (gradients.relu() * features).sum(dim=1).relu()


class GradientCAM(ModelExplainer):
    """Grad-CAM and its kin on the last feature map, for the logit of a class.

    Args:
        name: What tables call it.
        model: Any classifier whose last feature map :func:`~softcam.explainers.features.split_at_features` finds.
        formula: :func:`grad_cam`, :func:`grad_cam_plus_plus` or :func:`layer_cam`.
        example: An input ``(N, C, H, W)`` that a black box accepts, as for :func:`softcam.convert`.
    """

    def __init__(self, name: str, model: nn.Module, formula: Formula = grad_cam, example: Tensor | None = None) -> None:
        super().__init__(name, model)
        self.split = split_at_features(model, example)
        self.formula = formula

    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        *others, features = self.split.features(images)
        features.requires_grad_()
        # the clone: a head may work in place, which autograd forbids on the tensor that is asked for its gradient
        logits = check_logits(self.split.head((*others, features.clone())), classes)
        (gradients,) = torch.autograd.grad(of_class(logits, classes).sum(), features)
        return Explanation.from_cells(self.formula(features.detach(), gradients), images, forward_passes=1)


class ScoreCAM(ModelExplainer):
    """Channels weighted by the softmax of the class's logits for the image masked by each of them.

    `Wang et al. 2020 <https://arxiv.org/abs/1910.01279>`_, algorithm 1. The logit of the baseline image, which
    the algorithm takes off, cancels in the softmax over the channels.

    Args:
        name: What tables call it.
        model: As for :class:`GradientCAM`.
        batch_size: Masked copies to classify at once.
        example: As for :class:`GradientCAM`.
    """

    def __init__(self, name: str, model: nn.Module, batch_size: int = 32, example: Tensor | None = None) -> None:
        super().__init__(name, model)
        self.split = split_at_features(model, example)
        self.batch_size = batch_size

    @torch.no_grad()
    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        features = self.split.features(images)[-1]
        scores = torch.stack([self._scores(*one) for one in zip(images, features, classes, strict=True)])
        weights = scores.softmax(dim=1)[:, :, None, None]
        cells = (weights * features).sum(dim=1).relu()
        return Explanation.from_cells(cells, images, forward_passes=1 + features.shape[1])

    def _scores(self, image: Tensor, features: Tensor, wanted: Tensor) -> Tensor:
        """Return the logits ``(D,)`` of ``image`` (C, H, W) masked by each of ``features`` (D, h, w)."""
        classify = self._classifier(wanted)
        size = (image.shape[1], image.shape[2])
        chunks = (upsample_maps(chunk, size) for chunk in torch.split(features, self.batch_size))
        return torch.cat([classify(image * _stretched(chunk).unsqueeze(1))[:, wanted] for chunk in chunks])


def _stretched(maps: Tensor) -> Tensor:
    """Bring each of the maps ``(D, H, W)`` to [0, 1]; a constant one to 0."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).where(high > low, 1)
