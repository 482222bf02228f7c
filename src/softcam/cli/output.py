"""What the verbs print: text for people, JSON for machines."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def show(result: Any, text: str, as_json: bool) -> None:
    """Print the result of a verb on standard output.

    Args:
        result: Mappings, sequences and dataclasses of numbers, texts and paths.
        text: What it says to people.
        as_json: Print the result as one JSON object in place of the text.
    """
    print(json.dumps(plain(result), indent=2, ensure_ascii=False) if as_json else text)


def plain(value: Any) -> Any:
    """Turn a result into what JSON can hold.

    Args:
        value: Any nesting of dataclasses, mappings, sequences, paths, enumerations and numbers, those of
            NumPy and PyTorch included.

    Returns:
        The same made of dict, list, str, int, float, bool and None. A number that is not finite is None,
        because JSON has no word for it.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | Path):
        return str(value)
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Lay out a small table, the first column to the left, numbers to the right.

    Args:
        header: Column names.
        rows: The cells.

    Returns:
        Lines of text, aligned.
    """
    cells = [header, *(tuple(map(str, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)
