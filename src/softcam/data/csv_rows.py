"""Tables read as text, row by row, so that patient numbers keep their zeros and errors know their line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from softcam.errors import DataError


def read_rows(path: Path, required: Iterable[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a CSV file with a header.

    Args:
        path: The file, in UTF-8 with or without a byte order mark.
        required: Columns that it must have.

    Yields:
        The line that a row ends on, and its cells by column.

    Raises:
        DataError: If the file is missing or no CSV file, a column is missing or there twice, a row has more
            or fewer cells than the header, or there are no rows.
    """
    line = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            _check_header(path, reader.fieldnames or (), required)
            for row in reader:
                line = reader.line_num
                if None in row or None in row.values():
                    raise DataError(
                        f"{path}, line {line}: {'more' if None in row else 'fewer'} cells than the header "
                        "has columns; quote cells that contain commas."
                    )
                yield line, row
    except FileNotFoundError:
        raise DataError(f"Table {path} does not exist; check the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a CSV file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({error}); save it as one.") from None
    if line == 0:
        raise DataError(f"{path} has a header but no rows; add one row per image.")


def _check_header(path: Path, header: Sequence[str], required: Iterable[str]) -> None:
    for name in required:
        if name not in header:
            found = ", ".join(filter(None, header)) or "nothing"
            raise DataError(f"{path} has no column {name!r}; its first line names {found}.")
    for name in header:
        if name and header.count(name) > 1:
            raise DataError(f"{path} has two columns {name!r}; rename or remove one.")
