"""Random geometry: image, masks and outlines move by one matrix, and the image is resampled once."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from softcam.data.annotations import Outlines
from softcam.data.augmentation import Augmentation


class RandomGeometry(v2.Transform):
    """Crops, flips, turns and shifts by one random matrix, keeping the size.

    All parts are multiplied into one matrix first, so that the image is resampled once (bilinear) however
    many of them apply.

    Args:
        augmentation: What may happen, and how likely.
    """

    _transformed_types = (tv_tensors.Image, tv_tensors.Mask, Outlines)

    def __init__(self, augmentation: Augmentation) -> None:
        super().__init__()
        self.augmentation = augmentation

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the matrix ``(3, 3)`` from the pixels of the input to those of the output."""
        height, width = v2.query_size(flat_inputs)
        return {"matrix": random_matrix(self.augmentation, (height, width))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Move one tensor of the sample."""
        matrix = params["matrix"]
        if torch.equal(matrix, torch.eye(3, dtype=matrix.dtype)):
            return inpt
        if isinstance(inpt, Outlines):
            return Outlines.wrap(move_points(inpt.as_subclass(Tensor), matrix))
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.Mask(warp(inpt.as_subclass(Tensor).float(), matrix))
        return tv_tensors.Image(warp(inpt.as_subclass(Tensor), matrix))


def random_matrix(augmentation: Augmentation, size: tuple[int, int]) -> Tensor:
    """Draw a matrix for an image of size ``(h, w)``.

    Returns:
        ``(3, 3)`` float64: from pixels of the input to pixels of the output, as homogeneous ``(x, y, 1)``.
    """
    height, width = size
    unit = torch.eye(3, dtype=torch.float64)
    crop = _crop(augmentation) if _happens(augmentation.p) else unit
    flip = torch.diag(
        torch.tensor(
            [
                -1.0 if _happens(augmentation.horizontal_flip) else 1.0,
                -1.0 if _happens(augmentation.vertical_flip) else 1.0,
                1.0,
            ],
            dtype=torch.float64,
        )
    )
    rotation = _rotation(augmentation.rotation) if _happens(augmentation.p) else unit
    translation = _translation(augmentation.translation, size) if _happens(augmentation.p) else unit
    # Cropping happens in units of the image around its middle, the rest in pixels around its middle.
    to_units = torch.diag(torch.tensor([1 / width, 1 / height, 1.0], dtype=torch.float64))
    to_middle = _shift(-width / 2, -height / 2)
    return to_middle.inverse() @ translation @ rotation @ flip @ to_units.inverse() @ crop @ to_units @ to_middle


def move_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Apply a matrix ``(3, 3)`` to points ``(..., 2)``."""
    return (points.to(matrix.dtype) @ matrix[:2, :2].T + matrix[:2, 2]).to(points.dtype)


def warp(image: Tensor, matrix: Tensor) -> Tensor:
    """Resample an image (bilinear) so that what was at ``p`` comes to ``matrix · p``; black where nothing was.

    Args:
        image: ``(C, h, w)``.
        matrix: ``(3, 3)`` in pixels, invertible.

    Returns:
        ``(C, h, w)``.
    """
    height, width = image.shape[-2:]
    from_unit = _shift(width / 2, height / 2) @ torch.diag(
        torch.tensor([width / 2, height / 2, 1.0], dtype=torch.float64)
    )
    theta = (from_unit.inverse() @ matrix.inverse() @ from_unit)[:2].to(image.dtype)
    grid = F.affine_grid(theta[None], [1, 1, height, width], align_corners=False)
    return F.grid_sample(image[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def _happens(probability: float) -> bool:
    return torch.rand(()).item() < probability


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), dtype=torch.float64).item()


def _crop(augmentation: Augmentation) -> Tensor:
    """Draw a crop, in units of the image from its middle: the part that fills the image afterwards."""
    area = _uniform(*augmentation.scale)
    ratio = math.exp(_uniform(*(math.log(value) for value in augmentation.ratio)))
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    # A smaller crop lies anywhere inside the image; a larger one has the image anywhere inside it.
    x, y = (_uniform(-abs(1 - extent) / 2, abs(1 - extent) / 2) for extent in (width, height))
    return torch.diag(torch.tensor([1 / width, 1 / height, 1.0], dtype=torch.float64)) @ _shift(-x, -y)


def _rotation(greatest: float) -> Tensor:
    angle = math.radians(_uniform(-greatest, greatest))
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def _translation(greatest: float, size: tuple[int, int]) -> Tensor:
    height, width = size
    return _shift(_uniform(-greatest, greatest) * width, _uniform(-greatest, greatest) * height)


def _shift(x: float, y: float) -> Tensor:
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[0, 2], matrix[1, 2] = x, y
    return matrix
