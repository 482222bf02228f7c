"""Images side by side with the maps of every method, annotations outlined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from softcam.data.dataset import ManifestDataset
from softcam.data.images import image_size
from softcam.data.manifest import Manifest
from softcam.data.sample import Sample
from softcam.data.transforms import Preprocessing, test_transform
from softcam.evaluation.comparison.gallery import MapFolder
from softcam.evaluation.comparison.tables import Row
from softcam.model.task import Task
from softcam.reporting.overlay import Picture, blend, grey, outline

SHOWN_PX = 240
"""Longer side of a picture."""

_GAP, _MISSING = 6, 225  # pixels between pictures, and the grey of one that is missing
_PX_PER_INCH = 150
_SCALE_SHARE = 0.99  # of the pixels lie within the scale


@dataclass(frozen=True)
class GalleryRow:
    """A method and its picture of each image.

    Attributes:
        name: Of the method; of the images themselves empty.
        pictures: ``(h, w, 3)`` each; None where the method has failed.
    """

    name: str
    pictures: tuple[Picture | None, ...]


def gallery_rows(
    images: Manifest, chosen: Sequence[int], rows: Sequence[Row], names: Sequence[str], maps: MapFolder
) -> list[GalleryRow]:
    """Draw images, and below them what every method says of them.

    Methods have different units, so that each has a scale of its own, the same for all images: the strongest colour is
    at the 99 % quantile of its maps.

    Args:
        images: The images.
        chosen: Which of them to show.
        rows: The methods.
        names: What they are called.
        maps: Where their maps are.

    Raises:
        DataError: An image or annotation cannot be read.
    """
    shown = [_shown(images.samples[index], images) for index in chosen]
    result = [GalleryRow("", tuple(_outlined(pixels, mask) for pixels, mask in shown))]
    for row, name in zip(rows, names, strict=True):
        of_row = [maps.load(row.model, row.explainer, index) for index in chosen]
        limit = _limit(of_row)
        pictures = [
            None if each is None else _outlined(blend(grey(pixels), each, limit), mask)
            for each, (pixels, mask) in zip(of_row, shown, strict=True)
        ]
        result.append(GalleryRow(name, tuple(pictures)))
    return result


def gallery_figure(rows: Sequence[GalleryRow]) -> Figure:
    """Put the pictures of all rows on one sheet, a method per row; to be saved with a tight bounding box."""
    sheet, centres = _sheet(rows)
    height, width = sheet.shape[:2]
    figure = Figure(figsize=(width / _PX_PER_INCH, height / _PX_PER_INCH))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(sheet, interpolation="antialiased")
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks(centres, [row.name for row in rows])
    axes.tick_params(length=0)
    return figure


def _sheet(rows: Sequence[GalleryRow]) -> tuple[Picture, list[float]]:
    """Return all pictures as one, white between them and grey where one is missing, and the middle of each row."""
    shapes = [picture.shape for picture in rows[0].pictures if picture is not None]
    height, widths = max(shape[0] for shape in shapes), [shape[1] for shape in shapes]
    step = height + _GAP
    sheet = np.full((step * len(rows) - _GAP, sum(widths) + _GAP * (len(widths) - 1), 3), 255, dtype=np.uint8)
    for line, row in enumerate(rows):
        left = 0
        for picture, shape in zip(row.pictures, shapes, strict=True):
            top = line * step + (height - shape[0]) // 2
            sheet[top : top + shape[0], left : left + shape[1]] = _MISSING if picture is None else picture
            left += shape[1] + _GAP
    return sheet, [line * step + height / 2 for line in range(len(rows))]


def _outlined(pixels: Picture, mask: NDArray[np.bool_]) -> Picture:
    return outline(pixels, mask) if mask.any() else pixels


def _limit(maps: Sequence[NDArray[np.float32] | None]) -> float:
    values = [np.abs(each).ravel() for each in maps if each is not None]
    largest = float(np.quantile(np.concatenate(values), _SCALE_SHARE)) if values else 0.0
    return largest if largest > 0 else 1.0


def _shown(sample: Sample, images: Manifest) -> tuple[Picture, NDArray[np.bool_]]:
    """The image ``(h, w, 3)`` and its annotation ``(h, w)`` at the size of the gallery."""
    height, width = image_size(sample.image)
    factor = SHOWN_PX / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    plain = test_transform(Preprocessing(size, 3, (0.0,) * 3, (1.0,) * 3))
    item = ManifestDataset(replace(images, samples=(sample,)), plain, Task.MULTILABEL, annotations=True)[0]
    pixels = (item["image"].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels), item["mask"].numpy()
