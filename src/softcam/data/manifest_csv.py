"""Manifest rows in and out of CSV: what each cell may hold, and what to say when it holds something else."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from softcam.data.csv_rows import read_rows
from softcam.data.sample import Annotations, Box, Point, Sample, Split
from softcam.errors import DataError
from softcam.files import atomic_path

COLUMNS = ("image", "label", "class_name", "patient", "split", "boxes", "points", "masks", "classes")
"""The columns a manifest gives a meaning to; all others are ``Sample.extra``."""

REQUIRED = ("image", "label")
JOIN = "|"
"""What joins several labels, class names or masks in one cell."""

_MAX_DIGITS = 5  # more would be a patient number in the wrong column, and a class name for each below it


def absolute(path: str | Path, folder: Path = Path()) -> Path:
    """Make a path absolute, without following links: what is written is what is read back."""
    return Path(os.path.normpath((folder / path).absolute()))


def read_table(path: Path) -> tuple[list[Sample], tuple[str, ...]]:
    """Read the rows of a manifest.

    Args:
        path: The CSV file.

    Returns:
        The samples and the class names.

    Raises:
        DataError: If the file is missing or a cell holds what it must not.
    """
    reader = _RowReader(path)
    samples = [reader.sample(row, line) for line, row in read_rows(path, REQUIRED)]
    return samples, reader.class_names(samples)


def write_table(path: Path, samples: Sequence[Sample], classes: Sequence[str]) -> None:
    """Write samples as a manifest.

    Args:
        path: The CSV file, absolute.
        samples: The images.
        classes: The class names; their position is the label.

    Raises:
        DataError: If an extra column has the name of one of the manifest's own.
    """
    extra = list(dict.fromkeys(name for sample in samples for name in sample.extra))
    if taken := sorted(set(extra) & set(COLUMNS)):
        raise DataError(f"Extra column {taken[0]!r} has the name of a manifest column; rename it.")
    rows = [_cells(sample, classes, path.parent) for sample in samples]
    columns = [name for name in COLUMNS[:-1] if name in COLUMNS[:5] or any(row[name] for row in rows)]
    if {label for sample in samples for label in sample.labels} != set(range(len(classes))):
        columns.append("classes")
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*columns, *extra], "", "ignore", lineterminator="\n", quoting=_quoting(rows))
        writer.writeheader()
        writer.writerows(rows)


def _quoting(rows: Sequence[Mapping[str, str]]) -> Literal[0, 1]:
    """Quote everything where a cell has a carriage return: Python's writer leaves that one bare before 3.13."""
    returns = any("\r" in cell for row in rows for cell in row.values())
    return csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL


class _RowReader:
    """Turns rows into samples and remembers what the class indices are called."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = absolute(path).parent
        self._images: dict[Path, int] = {}
        self._names: dict[int, tuple[str, int]] = {}
        self._classes: tuple[str, ...] | None = None

    def sample(self, row: Mapping[str, str], line: int) -> Sample:
        """Read one row."""
        try:
            labels = _labels(row["label"])
            self._learn_names(labels, row, line)
            return Sample(
                image=self._image(row["image"], line),
                labels=tuple(sorted(labels)),
                patient=row.get("patient") or row["image"],
                split=_split(row.get("split", "")),
                annotations=self._annotations(row),
                extra={name: value for name, value in row.items() if name not in COLUMNS},
            )
        except DataError as error:
            raise DataError(f"{self._path}, line {line}: {error}") from None

    def class_names(self, samples: Sequence[Sample]) -> tuple[str, ...]:
        """Names of all classes; an index that no row names is called by its number."""
        used = [label for sample in samples for label in sample.labels]
        count = len(self._classes or ()) or max(used, default=-1) + 1
        names = self._classes or tuple(map(str, range(count)))
        for index, (name, line) in self._names.items():
            if self._classes and names[index : index + 1] != (name,):
                raise DataError(
                    f"{self._path}, line {line}: class {index} is called {name!r} but the classes are "
                    f"{JOIN.join(names)}; use the same names."
                )
        return tuple(self._names.get(index, (names[index], 0))[0] for index in range(count))

    def _image(self, cell: str, line: int) -> Path:
        if not cell:
            raise DataError("the image is empty; give its path.")
        path = absolute(cell, self._folder)
        if (first := self._images.setdefault(path, line)) != line:
            raise DataError(f"image {cell!r} is listed on line {first} already; keep one row per image.")
        return path

    def _annotations(self, row: Mapping[str, str]) -> Annotations:
        masks = row.get("masks", "")
        return Annotations(
            boxes=tuple(_box(numbers) for numbers in _number_lists(row.get("boxes", ""), "boxes", 4)),
            points=tuple(Point(*numbers) for numbers in _number_lists(row.get("points", ""), "points", 2)),
            masks=tuple(absolute(cell, self._folder) for cell in masks.split(JOIN) if cell),
        )

    def _learn_names(self, labels: Sequence[int], row: Mapping[str, str], line: int) -> None:
        if cell := row.get("classes"):
            classes = tuple(cell.split(JOIN))
            if self._classes not in (None, classes):
                raise DataError(f"classes {cell!r} differ from the lines above; all lines must agree.")
            self._classes = classes
        if not (cell := row.get("class_name")):
            return
        names = cell.split(JOIN)
        if len(names) != len(labels):
            raise DataError(f"{len(names)} class names ({cell!r}) for {len(labels)} labels; give one each.")
        for label, name in zip(labels, names, strict=True):
            known, where = self._names.setdefault(label, (name, line))
            if known != name:
                raise DataError(f"class {label} is called {name!r} here and {known!r} on line {where}; use one name.")


def _labels(cell: str) -> list[int]:
    labels = []
    for part in cell.split(JOIN) if cell.strip() else ():
        digits = part.strip()
        if not (digits.isascii() and digits.isdigit()):
            raise DataError(f"label {part!r} is not a class index; write a whole number from 0 up.")
        if len(digits) > _MAX_DIGITS:
            raise DataError(f"label {part!r} is too large for a class index; number the classes from 0.")
        labels.append(int(digits))
    if len(set(labels)) != len(labels):
        raise DataError(f"label {cell!r} names a class twice; name it once.")
    return labels


def _split(cell: str) -> Split | None:
    if not cell:
        return None
    if cell not in tuple(Split):
        raise DataError(f"split {cell!r} is none of {', '.join(Split)}; use one of them or leave it empty.")
    return Split(cell)


def _number_lists(cell: str, column: str, length: int) -> list[list[float]]:
    """Parse JSON like [[1, 2], [3, 4]] into lists of ``length`` finite numbers."""
    shape = "[[x, y, width, height], ...]" if length == 4 else "[[x, y], ...]"
    try:
        parsed: Any = json.loads(cell) if cell.strip() else []
        rows = [[_finite(number) for number in row] for row in parsed]
    except (ValueError, TypeError):
        raise DataError(f"{column} {cell!r} are not JSON of the form {shape}; correct them.") from None
    if any(len(row) != length for row in rows):
        raise DataError(f"{column} {cell!r} need {length} numbers each, {shape}; correct them.")
    return rows


def _finite(number: object) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ValueError(number)
    return float(number)


def _box(numbers: Sequence[float]) -> Box:
    box = Box(*numbers)
    if box.width <= 0 or box.height <= 0:
        raise DataError(f"box {list(numbers)} has no area; width and height must be above 0.")
    return box


def _cells(sample: Sample, classes: Sequence[str], folder: Path) -> dict[str, str]:
    drawn = sample.annotations
    return {
        **sample.extra,
        "image": _portable(sample.image, folder),
        "label": JOIN.join(map(str, sample.labels)),
        "class_name": JOIN.join(classes[label] for label in sample.labels),
        "patient": sample.patient,
        "split": sample.split or "",
        "boxes": _json((box.x, box.y, box.width, box.height) for box in drawn.boxes),
        "points": _json((point.x, point.y) for point in drawn.points),
        "masks": JOIN.join(_portable(mask, folder) for mask in drawn.masks),
        "classes": JOIN.join(classes),
    }


def _json(rows: Iterable[tuple[float, ...]]) -> str:
    numbers = [[int(number) if number == int(number) else number for number in row] for row in rows]
    return json.dumps(numbers) if numbers else ""


def _portable(path: Path, folder: Path) -> str:
    """Relative to the folder where the path lies in it or beside it, else absolute."""
    path = absolute(path)
    if JOIN in str(path):
        raise DataError(f"{path} contains {JOIN!r}, which joins several paths in a manifest; rename it.")
    beside = path.is_relative_to(folder.parent) and folder.parent != Path(path.anchor)
    if beside or path.is_relative_to(folder):
        path = Path(os.path.relpath(path, folder))
    return path.as_posix()
