"""The finished epochs of a run and which of them is the best: what metrics.csv holds."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from softcam.errors import ConfigError
from softcam.files import atomic_path
from softcam.training.config import Monitor

Row = Mapping[str, float]


@dataclass(frozen=True)
class History:
    """The finished epochs, one row of numbers each.

    Attributes:
        rows: Epochs in order; the keys of the first are the columns of ``metrics.csv``.
        monitor: The metric that chooses the best one.
    """

    monitor: Monitor
    rows: tuple[Row, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, row: Row) -> History:
        """Return the history with one more epoch."""
        return History(self.monitor, (*self.rows, row))

    @property
    def best(self) -> int | None:
        """Index of the best epoch, the first of equals; None where the monitored metric was never defined."""
        best, value = None, math.nan
        for index, row in enumerate(self.rows):
            if self.monitor.direction.improves(row[f"val_{self.monitor}"], value):
                best, value = index, row[f"val_{self.monitor}"]
        return best

    @property
    def stale(self) -> int:
        """Number of epochs since the best one."""
        return len(self.rows) - 1 - (-1 if self.best is None else self.best)

    def write(self, path: Path) -> None:
        """Write the table, replacing the file as a whole. Numbers are written so that reading gives them back."""
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(self.rows[0]) if self.rows else ["epoch"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    @classmethod
    def read(cls, path: Path, monitor: Monitor) -> History:
        """Read a table that :meth:`write` has written.

        Raises:
            ConfigError: It is missing or not such a table.
        """
        try:
            with path.open(newline="", encoding="utf-8") as stream:
                rows = [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(stream)]
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path} cannot be read ({error}); the run cannot be resumed from it") from error
        return cls(monitor, tuple(rows))


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)
