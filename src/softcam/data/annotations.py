"""Boxes, points and masks in a form that moves with the image and ends as one mask.

A box is carried as its four corners and a point as four equal ones, because a turned box is no longer a box:
torchvision would replace it by the upright box around it, which for a square turned by 45° has twice its area.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors

from softcam.data.images import read_image
from softcam.data.sample import Annotations, Box, Point, Sample
from softcam.errors import DataError

_TOLERANCE = 1.0  # px by which a box may stick out of its image: annotation tools round, resized sets more so


class Outlines(tv_tensors.TVTensor):
    """Parallelograms ``(N, 4, 2)``: x and y of corners in order, in pixels; pixel (i, j) covers [i, i+1)×[j, j+1).

    A `torchvision.tv_tensors.TVTensor`, so that the transforms of `softcam.data.transforms` find it in a
    sample. Those of torchvision leave it as it is.
    """

    @classmethod
    def wrap(cls, corners: Tensor) -> Outlines:
        """Mark corners ``(N, 4, 2)`` as outlines."""
        return corners.as_subclass(cls)

    @classmethod
    def of(cls, annotations: Annotations, size: tuple[int, int]) -> Outlines:
        """Take the boxes and points of an image of size ``(H, W)``.

        A point stands for the middle of the pixel that it lies in.
        """
        corners = [_box_corners(box) for box in annotations.boxes]
        corners += [_point_corners(point, size) for point in annotations.points]
        return cls.wrap(torch.tensor(corners, dtype=torch.float32).reshape(-1, 4, 2))


def annotation_problems(sample: Sample, size: tuple[int, int]) -> Iterator[str]:
    """Say what is wrong with the boxes and points of an image.

    Args:
        sample: The image and its annotations.
        size: Its ``(H, W)``.

    Yields:
        One sentence for every box or point outside the image, by more than the pixel that rounding may cost.
    """
    height, width = size
    place = f"outside {sample.image} ({width}×{height} px); correct it or scale it to the image."
    for box in sample.annotations.boxes:
        if not (_inside(box.x, box.x + box.width, width) and _inside(box.y, box.y + box.height, height)):
            yield f"Box [{box.x:g}, {box.y:g}, {box.width:g}, {box.height:g}] lies {place}"
    for point in sample.annotations.points:
        if not (_inside(point.x, point.x, width) and _inside(point.y, point.y, height)):
            yield f"Point [{point.x:g}, {point.y:g}] lies {place}"


def read_mask(path: Path, image: Path, size: tuple[int, int]) -> tv_tensors.Mask:
    """Read a mask file.

    Args:
        path: The mask; every pixel that is not black belongs to the finding. In a JPEG, whose black is
            rarely quite black, every pixel brighter than half.
        image: The image it belongs to, for messages.
        size: ``(H, W)`` of that image.

    Returns:
        Bool ``(1, H, W)``.

    Raises:
        DataError: If it cannot be read or is not of the image's size.
    """
    decoded = read_image(path)
    height, width = decoded.pixels.shape[-2:]
    if (height, width) != size:
        raise DataError(
            f"{path} is {width}×{height} px but its image {image} is {size[1]}×{size[0]} px; "
            "a mask must have the size of its image."
        )
    threshold = 0.5 if decoded.format == "JPEG" else 0.0
    return tv_tensors.Mask(decoded.pixels.amax(dim=0, keepdim=True) > threshold)


def read_masks(paths: Sequence[Path], image: Path, size: tuple[int, int]) -> tv_tensors.Mask:
    """Read several mask files as `read_mask` does and unite them."""
    united = torch.zeros(1, *size, dtype=torch.bool)
    for path in paths:
        united |= read_mask(path, image, size)
    return tv_tensors.Mask(united)


def mask_from_coverage(coverage: Tensor) -> Tensor:
    """Decide which pixels a finding covers after it was resampled, so that no finding vanishes.

    A pixel belongs to the mask if at least half of it is covered, or if it is covered at all and no less than
    its eight neighbours: a lesion smaller than a pixel keeps the one it lies in. Pixels at the edge have
    neighbours that nobody sees, where a lesion may go on that just looks in, so for them only the half counts.

    Args:
        coverage: ``(1, h, w)``, the covered share of every pixel.

    Returns:
        Bool ``(1, h, w)``.
    """
    peak = F.max_pool2d(F.pad(coverage, (1, 1, 1, 1), value=1.0)[None], kernel_size=3, stride=1)[0]
    return (coverage >= 0.5) | ((coverage > 1e-6) & (coverage == peak))


def rasterize(outlines: Tensor, size: tuple[int, int]) -> Tensor:
    """Draw outlines as one mask.

    An outline sets every pixel whose middle it covers, and the pixel that its own middle lies in, so that a
    point is one pixel and a box at least one, as long as its middle is in the image.

    Args:
        outlines: ``(N, 4, 2)`` corners of parallelograms.
        size: ``(h, w)`` of the mask.

    Returns:
        Bool ``(h, w)``.
    """
    mask = torch.zeros(size, dtype=torch.bool)
    for corners in outlines.as_subclass(Tensor):
        _draw(mask, corners)
    return mask


def _draw(mask: Tensor, corners: Tensor) -> None:
    height, width = mask.shape
    limits = torch.tensor([width, height])
    low = corners.amin(dim=0).floor().long().clamp_min(0)
    high = torch.minimum(corners.amax(dim=0).ceil().long(), limits)
    if (high > low).all():
        (left, top), (right, bottom) = low.tolist(), high.tolist()
        xs = torch.arange(left, right) + 0.5
        ys = torch.arange(top, bottom) + 0.5
        mask[top:bottom, left:right] |= _covered(corners, xs[None, :], ys[:, None])
    column, row = corners.mean(dim=0).floor().long().tolist()
    if 0 <= row < height and 0 <= column < width:
        mask[row, column] = True


def _covered(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Tell for every place ``(x, y)`` whether it lies in the parallelogram: both its coordinates in [0, 1]."""
    (origin_x, origin_y), (a_x, a_y), _, (b_x, b_y) = corners.tolist()
    a_x, a_y, b_x, b_y = a_x - origin_x, a_y - origin_y, b_x - origin_x, b_y - origin_y
    area = a_x * b_y - a_y * b_x
    if area == 0:
        return torch.zeros_like(x + y, dtype=torch.bool)
    along_a = ((x - origin_x) * b_y - (y - origin_y) * b_x) / area
    along_b = ((y - origin_y) * a_x - (x - origin_x) * a_y) / area
    covered: Tensor = (along_a >= 0) & (along_a <= 1) & (along_b >= 0) & (along_b <= 1)
    return covered


def _box_corners(box: Box) -> list[list[float]]:
    right, bottom = box.x + box.width, box.y + box.height
    return [[box.x, box.y], [right, box.y], [right, bottom], [box.x, bottom]]


def _point_corners(point: Point, size: tuple[int, int]) -> list[list[float]]:
    x = min(max(int(point.x), 0), size[1] - 1) + 0.5
    y = min(max(int(point.y), 0), size[0] - 1) + 0.5
    return [[x, y]] * 4


def _inside(low: float, high: float, limit: int) -> bool:
    return low >= -_TOLERANCE and high <= limit + _TOLERANCE
