"""The numbers of each image on disk, appended as they are computed, so that a run that was stopped goes on.

A file of one model holds one JSON object per line. The first line says what the numbers are of: the model, the
images and the settings. Explainers are no part of it, because each has lines of its own: one can be added later.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from softcam.errors import ConfigError, DataError

Key: TypeAlias = tuple[str, int]
"""An explainer and an image."""

_DIGITS = 8  # keeps a float32


@dataclass(frozen=True)
class Record:
    """What one explainer's map of one image is worth.

    Attributes:
        explainer: Its name.
        image: The image, counted in the order of the manifest's selected images.
        map_size: Resolution ``(h, w)`` at which the method speaks; None where it failed.
        passes: Forward passes that a map cost.
        seconds: Time that a map took.
        values: Scores by name; those that the image has not are left out.
        chance: What a map that knows nothing scores on this image.
        ceiling: What the annotation itself scores at this resolution.
        curves: The curves that scores are areas of.
        error: Why there is no map; empty where there is one.
    """

    explainer: str
    image: int
    map_size: tuple[int, int] | None = None
    passes: float = math.nan
    seconds: float = math.nan
    values: Mapping[str, float] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    ceiling: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    error: str = ""

    @property
    def key(self) -> Key:
        """What tells it from others of the same model."""
        return self.explainer, self.image

    def to_json(self) -> str:
        """Return one line; numbers that are not defined are left out."""
        return json.dumps(_compact(asdict(self)), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Read a line.

        Raises:
            ValueError: It is none; also TypeError and AttributeError.
        """
        values: dict[str, Any] = json.loads(line)
        size = values.pop("map_size", None)
        curves = {name: tuple(curve) for name, curve in values.pop("curves", {}).items()}
        return cls(map_size=None if size is None else (size[0], size[1]), curves=curves, **values)


class RecordFile:
    """The records of one model.

    Args:
        path: The file.
        subject: What the records are of, as JSON can hold it.

    Raises:
        ConfigError: The file holds records of something else.
        DataError: It is broken elsewhere than at its end, where a stopped run may have left half a line.
    """

    def __init__(self, path: Path, subject: Mapping[str, Any]) -> None:
        self.path = path
        self.records: dict[Key, Record] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        header, *lines = _whole_lines(path) or [""]
        if header:
            _require_same(path, header, subject)
            self.records = _read(path, lines)
        else:
            self._append_lines([json.dumps(subject, ensure_ascii=False)])

    def append(self, records: Iterable[Record]) -> None:
        """Add records, with the digits that the file keeps; they are on disk when this returns."""
        lines = [record.to_json() for record in records]
        self._append_lines(lines)
        self.records.update((record.key, record) for record in map(Record.from_json, lines))

    def _append_lines(self, lines: Iterable[str]) -> None:
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)


def _whole_lines(path: Path) -> list[str]:
    """Return the lines of a file, and cut off the half line that a stopped run has left at its end."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole.decode("utf-8").split("\n")[:-1]


def _require_same(path: Path, header: str, subject: Mapping[str, Any]) -> None:
    try:
        found = dict(json.loads(header))
    except (ValueError, TypeError):
        raise DataError(f"{path} holds no records of a comparison; choose another --out") from None
    wanted = json.loads(json.dumps(subject))
    changed = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    if changed:
        raise ConfigError(
            f"{path} was made with another {', '.join(changed)}; choose another --out, or delete the file to start anew"
        )


def _read(path: Path, lines: Iterable[str]) -> dict[Key, Record]:
    records = {}
    for number, line in enumerate(lines, start=2):
        try:
            record = Record.from_json(line)
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{path}, line {number}, is no record ({error}); delete that line") from error
        records[record.key] = record
    return records


def _compact(value: Any) -> Any:
    """Round numbers, and leave out what is empty or not defined."""
    if isinstance(value, dict):
        items = {name: _compact(item) for name, item in value.items()}
        return {name: item for name, item in items.items() if item is not None and item not in ({}, "")}
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return [_compact(item) for item in value] if isinstance(value, list | tuple) else value
