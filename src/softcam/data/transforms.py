"""Training and test transforms: what a sample goes through on its way to the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from softcam.data.annotations import Outlines
from softcam.data.augmentation import AUGMENTATIONS, Augmentation
from softcam.data.geometry import RandomGeometry
from softcam.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, PREPROCESSINGS, Preprocessing

__all__ = [
    "AUGMENTATIONS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PREPROCESSINGS",
    "Augmentation",
    "Preprocessing",
    "SampleTransform",
    "test_transform",
    "training_transform",
]

SampleTransform = Callable[[dict[str, Any]], dict[str, Any]]


def training_transform(preprocessing: Preprocessing, augmentation: Augmentation) -> SampleTransform:
    """Build the transform for training.

    It takes and returns a sample, a dict, in which

    - every `tv_tensors.Image` ``(C, H, W)`` in [0, 1] becomes network input ``(channels, h, w)``;
    - every `tv_tensors.Mask` ``(1, H, W)`` becomes the covered share of every pixel of that, ``(1, h, w)`` in
      [0, 1], of which `softcam.data.annotations.mask_from_coverage` makes a mask again;
    - every `softcam.data.annotations.Outlines` comes to lie in pixels of that;
    - anything else is left as it is.

    Random numbers come from torch's global generator.

    Args:
        preprocessing: What the network asks for.
        augmentation: How to vary the images.

    Returns:
        The transform.
    """
    steps: list[v2.Transform] = [_Resize(preprocessing), RandomGeometry(augmentation)]
    colours = v2.ColorJitter(
        augmentation.brightness,
        augmentation.contrast,
        augmentation.saturation,
        hue=(-augmentation.hue, augmentation.hue),
    )
    steps.append(v2.RandomApply([colours], p=augmentation.p))
    transform: SampleTransform = v2.Compose([*steps, _Normalize(preprocessing)])
    return transform


def test_transform(preprocessing: Preprocessing) -> SampleTransform:
    """Build the transform for everything but training: as `training_transform`, without any variation."""
    transform: SampleTransform = v2.Compose([_Resize(preprocessing), _Normalize(preprocessing)])
    return transform


class _Resize(v2.Transform):
    _transformed_types = (tv_tensors.Image, tv_tensors.Mask, Outlines)

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.preprocessing = preprocessing

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        new_height, new_width = self.preprocessing.size
        return {"factors": torch.tensor([new_width / width, new_height / height])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, Outlines):
            return Outlines.wrap(inpt.as_subclass(Tensor) * params["factors"])
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.Mask(self.preprocessing.resize(inpt.as_subclass(Tensor).float()))
        return self.preprocessing.resize(inpt)


class _Normalize(v2.Transform):
    _transformed_types = (tv_tensors.Image,)

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.preprocessing = preprocessing

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return tv_tensors.Image(self.preprocessing.normalize(inpt.as_subclass(Tensor)))
