"""Guided backpropagation, wherever a network computes its rectifiers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from softcam.errors import ConfigError
from softcam.explainers.explanation import Explanation, ModelExplainer
from softcam.explainers.gradients import GRADIENT_PASSES, input_gradients, magnitude

_IN_PLACE = frozenset({torch.relu_, Tensor.relu_})
_RECTIFIERS = _IN_PLACE | {F.relu, torch.relu, Tensor.relu, F.relu6}


class GuidedBackprop(ModelExplainer):
    """The gradient with its negative part stopped at every rectifier, as a magnitude: not signed.

    `Springenberg et al. 2015 <https://arxiv.org/abs/1412.6806>`_, section 3.4; the largest absolute value among
    the channels of each pixel. (A gradient's sign says whether a brighter pixel would raise the logit, not whether
    the pixel speaks for the class.)

    Rectifiers, ReLU and ReLU6, are guided where they are computed: functional, in-place and reused ones like any
    other, and nothing else that reads the input of one. (captum 0.9 hooks the modules: it passes over functional
    rectifiers without a word, and clips the gradient of a skip connection that shares the rectifier's input.)

    Raises:
        ConfigError: On call, where the network has no rectifier: there is nothing to guide.
    """

    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        guide = GuidedRectifiers()
        classify = self._classifier(classes)

        def guided(inputs: Tensor) -> Tensor:
            with guide:
                return classify(inputs)

        gradients = input_gradients(guided, images, classes)
        if not guide.met:
            network = type(self.model).__name__
            raise ConfigError(f"{self.name} has nothing to guide: {network} computes no ReLU; use saliency")
        return Explanation.from_pixels(magnitude(gradients), GRADIENT_PASSES)


class GuidedRectifiers(TorchFunctionMode):
    """While entered, rectifiers let positive gradients through alone.

    Attributes:
        met: How many were computed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute ``func``, guided if it is a rectifier."""
        named = kwargs or {}
        if not _is_rectifier(func, named):
            return func(*args, **named)
        self.met += 1
        inputs: Tensor = args[0]
        stopped = _PositiveGradient.apply(inputs)
        if func in _IN_PLACE:
            return inputs.copy_(stopped.relu())
        rectified = func(stopped, *args[1:], **{**named, "inplace": False} if "inplace" in named else named)
        return inputs.copy_(rectified) if named.get("inplace") else rectified


def _is_rectifier(func: Any, named: dict[str, Any]) -> bool:
    # nn.ReLU6 is a hardtanh from 0 to 6
    return func in _RECTIFIERS or (func is F.hardtanh and named.get("min_val") == 0)


class _PositiveGradient(torch.autograd.Function):
    """The identity; no negative gradient comes back through it."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].relu()
