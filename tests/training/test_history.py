from __future__ import annotations

import math
from pathlib import Path

import pytest

from softcam.errors import ConfigError
from softcam.training.config import Monitor
from softcam.training.history import History

NAN = math.nan


def history(monitor: Monitor, *values: float) -> History:
    return History(monitor, tuple({f"val_{monitor}": value} for value in values))


@pytest.mark.parametrize(
    ("monitor", "values", "best", "stale"),
    [
        (Monitor.AUROC, (), None, 0),
        (Monitor.AUROC, (0.5, 0.7, 0.7, 0.6), 1, 2),
        (Monitor.LOSS, (0.5, 0.7, 0.4, 0.4), 2, 1),
        (Monitor.AUROC, (NAN, 0.1, NAN), 1, 1),
        (Monitor.AUROC, (0.6, NAN), 0, 1),
        (Monitor.LOSS, (NAN, NAN), None, 2),
    ],
)
def test_the_best_is_strictly_better_and_never_nan(
    monitor: Monitor, values: tuple[float, ...], best: int | None, stale: int
) -> None:
    epochs = history(monitor, *values)
    assert epochs.best == best
    assert epochs.stale == stale


def test_a_table_reads_as_it_was_written(tmp_path: Path) -> None:
    rows = ({"epoch": 1, "val_auroc": 0.1 + 0.2, "lr": 1e-300}, {"epoch": 2, "val_auroc": 1.0, "lr": 5e-4})
    epochs = History(Monitor.AUROC, rows)
    epochs.write(tmp_path / "metrics.csv")
    assert History.read(tmp_path / "metrics.csv", Monitor.AUROC) == epochs
    text = (tmp_path / "metrics.csv").read_text()
    History.read(tmp_path / "metrics.csv", Monitor.AUROC).write(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == text


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,val_auroc\n1,high\n")
    with pytest.raises(ConfigError, match=f"^{path} cannot be read"):
        History.read(path, Monitor.AUROC)
