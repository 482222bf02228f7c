"""From what a data set calls its classes to class indices."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

from softcam.data.manifest_csv import JOIN
from softcam.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

_HEALTHY = ("normal", "no finding", "healthy", "negative", "benign", "no dr", "none", "control")


def means_healthy(name: str) -> bool:
    """Whether a class is called something that means no disease, such as normal or no finding."""
    return name.lower() in _HEALTHY


def healthy_first(names: Iterable[str]) -> tuple[str, ...]:
    """Sort class names, with those that mean no disease first, so that class 0 is the negative one."""
    return tuple(sorted(names, key=lambda name: (not means_healthy(name), name)))


def class_indices(names: Collection[str], classes: Sequence[str] | None, where: str) -> dict[str, int]:
    """Number the classes.

    Args:
        names: The class names that occur.
        classes: The classes wanted, in their order; None takes all, the healthy one first.
        where: What has the names, for the message.

    Returns:
        Name to index. Names that are not wanted have none; that they are left out is logged.

    Raises:
        DataError: If a class that is wanted does not occur.
    """
    order = healthy_first(names) if classes is None else tuple(classes)
    for name in order:
        if name not in names:
            raise DataError(f"{where} has no class {name!r}; it has {', '.join(healthy_first(names))}.")
    if left_out := sorted(set(names) - set(order)):
        logger.warning("left out the images of class %s", ", ".join(left_out))
    return {name: index for index, name in enumerate(order)}


def read_labels(
    cells: Iterable[str], classes: Sequence[str] | None, positive_from: int | None, where: str
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """Turn the cells of a label column into class indices.

    Args:
        cells: What the column holds: class indices or names, several joined by ``|``.
        classes: Class names. With numbers in the cells their position is the number; with names in the cells
            they choose and order the classes. None takes what is there.
        positive_from: With numbers in the cells: make two classes, below this number and from it on.
        where: The table, for the messages.

    Returns:
        Cell to labels, without the cells that have no label or a class that is not wanted; and the class
        names.

    Raises:
        ConfigError: If ``positive_from`` comes with other than two classes.
        DataError: If ``positive_from`` meets a cell that is no number, or a wanted class does not occur.
    """
    parts = {cell: cell.split(JOIN) for cell in set(cells) if cell.strip()}
    values = {value for split in parts.values() for value in split}
    if not values:
        raise DataError(f"{where} has no label in any row; check the name of the label column.")
    if positive_from is not None:
        indices, names = _two_classes(values, classes, positive_from, where)
    elif all(_whole_number(value) is not None for value in values) and not values.intersection(classes or ()):
        indices = {value: _whole_number(value) or 0 for value in values}
        names = tuple(classes or map(str, range(max(indices.values()) + 1)))
    else:
        indices = class_indices(values, classes, where)
        names = tuple(indices)
    labels = {
        cell: tuple(sorted({indices[value] for value in split}))
        for cell, split in parts.items()
        if all(value in indices for value in split)
    }
    return labels, names


def _two_classes(
    values: Iterable[str], classes: Sequence[str] | None, positive_from: int, where: str
) -> tuple[dict[str, int], tuple[str, ...]]:
    names = tuple(classes or (f"below {positive_from}", f"{positive_from} or more"))
    if len(names) != 2:
        raise ConfigError(f"--positive_from makes two classes but {len(names)} are named: {', '.join(names)}.")
    indices = {}
    for value in values:
        number = _whole_number(value)
        if number is None:
            raise DataError(f"{where}: label {value!r} is not a whole number, which --positive_from needs.")
        indices[value] = int(number >= positive_from)
    return indices, names


def _whole_number(value: str) -> int | None:
    """Read 3 or 3.0, as tables with empty cells come out of pandas."""
    whole, _, rest = value.strip().partition(".")
    return int(whole) if whole.isascii() and whole.isdigit() and not rest.strip("0") else None
