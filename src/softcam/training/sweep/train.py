"""One training of a sweep: begun, gone on with, or taken as it is."""

from __future__ import annotations

from pathlib import Path

from softcam.errors import SoftCAMError
from softcam.training.config import TrainConfig
from softcam.training.history import History
from softcam.training.loop import train
from softcam.training.state import CONFIG_FILE, RunFolder
from softcam.training.sweep.folder import SweepFolder
from softcam.training.sweep.grid import Point, point_config


def train_point(base: TrainConfig, point: Point, *, progress: bool = True) -> Path | None:
    """Train a point of a sweep, wherever it was left.

    Args:
        base: What all points share; the sweep's folder is its ``run.out``.
        point: The point.
        progress: Whether to show a progress bar and a line per epoch.

    Returns:
        The folder of the run; None where the training failed, now or earlier (a loss that is not finite, a metric
        that was never defined), which is then noted in the sweep's folder.

    Raises:
        SoftCAMError: Of a subclass: what is asked makes no sense, or the images cannot be used.
    """
    folder = SweepFolder(base.run.out)
    if folder.failure(point):
        return None
    try:
        return train_or_continue(point_config(base, point), progress=progress)
    except SoftCAMError as error:
        if type(error) is not SoftCAMError:
            raise
        folder.note_failure(point, str(error))
        return None


def train_or_continue(config: TrainConfig, *, progress: bool = True) -> Path:
    """Train a network, go on with it where it was interrupted, or take it as it is where it has finished."""
    folder = RunFolder(config.run.out)
    begun = (folder.path / CONFIG_FILE).is_file()
    if begun and _finished(folder, config):
        return folder.path
    return train(config, resume=begun, progress=progress)


def _finished(folder: RunFolder, config: TrainConfig) -> bool:
    if not (folder.model.is_dir() and folder.metrics.is_file()):
        return False
    history = History.read(folder.metrics, config.run.monitor)
    out_of_patience = config.run.patience is not None and history.stale >= config.run.patience
    return len(history) >= config.optim.epochs or out_of_patience
