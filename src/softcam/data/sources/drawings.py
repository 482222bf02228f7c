"""Boxes and points out of table rows, masks out of folders."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from softcam.data.sample import Annotations, Box, Point
from softcam.data.sources.assemble import ImageIndex
from softcam.errors import DataError

_EMPTY = frozenset({"", "nan", "none"})


class Masks:
    """Finds mask images that have the names of their images.

    Args:
        folders: Where to look, one folder per kind of lesion.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = [ImageIndex(folder) for folder in folders]

    def of(self, image: Path) -> tuple[Path, ...]:
        """The masks of an image; it may lack some or all."""
        found = (folder.find(image.name) for folder in self._folders)
        return tuple(mask for mask in found if mask is not None)

    def check_used(self, annotations: Iterable[Annotations]) -> None:
        """Check that the folders have masks for these images at all.

        Args:
            annotations: What was found for the images.

        Raises:
            DataError: If there are folders but not one mask was found.
        """
        if self._folders and not any(drawn.masks for drawn in annotations):
            raise DataError(
                f"No mask below {self._folders[0].root} has the name of an image; name masks like their images."
            )


class Drawings:
    """Boxes and points per image, from rows that hold one each.

    Args:
        rows: The rows.
        image_column: The column that names the image.
        box_columns: Left, top, width and height; or nothing.
        point_columns: x and y; or nothing.
        where: The table, for messages.

    Raises:
        DataError: If a cell is no number, or a box has no area.
    """

    def __init__(
        self,
        rows: Iterable[Mapping[str, str]],
        image_column: str,
        box_columns: Sequence[str],
        point_columns: Sequence[str],
        where: str,
    ) -> None:
        self._boxes: dict[str, list[Box]] = defaultdict(list)
        self._points: dict[str, list[Point]] = defaultdict(list)
        for row in rows:
            image = row[image_column]
            if box := _numbers(row, box_columns, f"{where}: box of {image}"):
                self._boxes[image].append(Box(*box))
            if point := _numbers(row, point_columns, f"{where}: point of {image}"):
                self._points[image].append(Point(*point))
        for image, boxes in self._boxes.items():
            if any(box.width <= 0 or box.height <= 0 for box in boxes):
                raise DataError(f"{where}: a box of {image} has no area; width and height must be above 0.")

    def of(self, image: str, masks: tuple[Path, ...] = ()) -> Annotations:
        """Everything drawn on an image, by its name in the table."""
        return Annotations(tuple(self._boxes.get(image, ())), tuple(self._points.get(image, ())), masks)


def _numbers(row: Mapping[str, str], columns: Sequence[str], what: str) -> list[float]:
    """The numbers of some columns; none where all are empty, which is how tables say that there is no box."""
    cells = [row[column].strip() for column in columns]
    if all(cell.lower() in _EMPTY for cell in cells):
        return []
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise DataError(f"{what} has {', '.join(cells)} for {', '.join(columns)}; write numbers.")
    return numbers
