"""The table of the methods that are built in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from torch import Tensor, nn

from softcam.explainers.cam import GradientCAM, ScoreCAM, grad_cam, grad_cam_plus_plus, layer_cam
from softcam.explainers.controls import RandomMap, UniformMap
from softcam.explainers.evidence import EvidenceExplainer
from softcam.explainers.explanation import Explainer
from softcam.explainers.gradients import Saliency, SmoothGrad
from softcam.explainers.guided import GuidedBackprop
from softcam.explainers.integrated import Baseline, IntegratedGradients
from softcam.explainers.perturbation import RISE, Occlusion
from softcam.model.task import Task


class Resolution(StrEnum):
    """What a method speaks of: cells of the feature map, squares of the image, or its pixels."""

    CELLS = "cells"
    SQUARES = "squares"
    PIXELS = "pixels"


class Sign(StrEnum):
    """Whether a map also says what speaks against the class."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"


@dataclass(frozen=True)
class Order:
    """What an explainer is made for.

    Attributes:
        name: What tables call it.
        model: The classifier.
        task: How a black box's logits become probabilities, where that is known.
        seed: Of what is random.
        example: An input that the model accepts, where that is known.
    """

    name: str
    model: nn.Module
    task: Task | None
    seed: int
    example: Tensor | None


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        title: What the field calls it.
        sign: Whether its maps are signed; an unsigned map is nowhere negative.
        resolution: What it speaks of.
        passes: Cost per image in forward passes, a backward pass counting two.
        source: Where it was published.
        build: Makes the explainer.
    """

    title: str
    sign: Sign
    resolution: Resolution
    passes: str
    source: str
    build: Callable[[Order], Explainer]


_CELLS, _SQUARES, _PIXELS = Resolution
_SIGNED, _UNSIGNED = Sign
_SOFTCAM = "Djoumessi & Berens 2026"


def _evidence(order: Order) -> Explainer:
    return EvidenceExplainer(order.name, order.model, task=order.task, example=order.example)


def _raw_evidence(order: Order) -> Explainer:
    return EvidenceExplainer(order.name, order.model, contrast=False, task=order.task, example=order.example)


def _gradcam(order: Order) -> Explainer:
    return GradientCAM(order.name, order.model, grad_cam, order.example)


def _gradcam_plus_plus(order: Order) -> Explainer:
    return GradientCAM(order.name, order.model, grad_cam_plus_plus, order.example)


def _layercam(order: Order) -> Explainer:
    return GradientCAM(order.name, order.model, layer_cam, order.example)


def _scorecam(order: Order) -> Explainer:
    return ScoreCAM(order.name, order.model, example=order.example)


def _guided_backprop(order: Order) -> Explainer:
    return GuidedBackprop(order.name, order.model)


def _saliency(order: Order) -> Explainer:
    return Saliency(order.name, order.model)


def _integrated(order: Order) -> Explainer:
    return IntegratedGradients(order.name, order.model, Baseline.ZERO)


def _integrated_blur(order: Order) -> Explainer:
    return IntegratedGradients(order.name, order.model, Baseline.BLUR)


def _smoothgrad(order: Order) -> Explainer:
    return SmoothGrad(order.name, order.model, seed=order.seed)


def _occlusion(order: Order) -> Explainer:
    return Occlusion(order.name, order.model)


def _rise(order: Order) -> Explainer:
    return RISE(order.name, order.model, task=order.task, seed=order.seed)


def _random(order: Order) -> Explainer:
    return RandomMap(order.name, seed=order.seed)


def _uniform(order: Order) -> Explainer:
    return UniformMap(order.name)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "softcam": Method("SoftCAM", _SIGNED, _CELLS, "1", _SOFTCAM, _evidence),
        "softcam-raw": Method("SoftCAM, without contrast", _SIGNED, _CELLS, "1", _SOFTCAM, _raw_evidence),
        "cam": Method("CAM", _SIGNED, _CELLS, "1", "Zhou et al. 2016", _raw_evidence),
        "gradcam": Method("Grad-CAM", _UNSIGNED, _CELLS, "1", "Selvaraju et al. 2017", _gradcam),
        "gradcam++": Method("Grad-CAM++", _UNSIGNED, _CELLS, "1", "Chattopadhyay et al. 2018", _gradcam_plus_plus),
        "layercam": Method("LayerCAM", _UNSIGNED, _CELLS, "1", "Jiang et al. 2021", _layercam),
        "scorecam": Method("Score-CAM", _UNSIGNED, _CELLS, "1 + channels", "Wang et al. 2020", _scorecam),
        "guided-backprop": Method(
            "Guided backpropagation", _UNSIGNED, _PIXELS, "3", "Springenberg et al. 2015", _guided_backprop
        ),
        "saliency": Method("Saliency", _UNSIGNED, _PIXELS, "3", "Simonyan et al. 2014", _saliency),
        "integrated-gradients": Method(
            "Integrated gradients", _SIGNED, _PIXELS, "150", "Sundararajan et al. 2017", _integrated
        ),
        "integrated-gradients-blur": Method(
            "Integrated gradients from a blur", _SIGNED, _PIXELS, "150", "Sturmfels et al. 2020", _integrated_blur
        ),
        "smoothgrad": Method("SmoothGrad", _UNSIGNED, _PIXELS, "96", "Smilkov et al. 2017", _smoothgrad),
        "occlusion": Method("Occlusion", _SIGNED, _SQUARES, "1 + squares", "Zeiler & Fergus 2014", _occlusion),
        "rise": Method("RISE", _SIGNED, _PIXELS, "1000", "Petsiuk et al. 2018", _rise),
        "random": Method("Random map", _UNSIGNED, _PIXELS, "0", "control", _random),
        "uniform": Method("Uniform map", _UNSIGNED, _PIXELS, "0", "control", _uniform),
    }
)
"""The methods by name. ``softcam-STAGE``, the evidence of one stage, is none of them: networks differ in stages."""
