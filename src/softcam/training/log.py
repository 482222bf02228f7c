"""What a run tells: a progress bar, a line per epoch, TensorBoard."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from softcam.training.config import Monitor
from softcam.training.history import History


class RunLog:
    """Reports a run while it goes: a line per epoch and, on a terminal, a bar on stderr; scalars to TensorBoard.

    Use as a context manager, on the main process alone (``enabled``).

    Args:
        folder: Folder of the TensorBoard files.
        images: Images of the whole run, for the time left.
        done: Images of the epochs that a resumed run has behind it.
        step: Steps that it has behind it.
        enabled: Whether to report at all.
        progress: Whether to show the lines and the bar.
    """

    def __init__(
        self, folder: Path, *, images: int, done: int, step: int, enabled: bool, progress: bool = True
    ) -> None:
        self._show = enabled and progress
        self._writer = SummaryWriter(str(folder), purge_step=step + 1) if enabled else None
        visible = self._show and sys.stderr.isatty()  # in a file, a bar is one line over the other
        self._bar = tqdm(total=images, initial=done, unit=" images", dynamic_ncols=True, disable=not visible)
        self._began, self._epochs = time.monotonic(), 0
        self._postfix: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if self._writer is not None:
            self._writer.close()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._show:
            tqdm.write(line, file=sys.stderr)

    def step(self, images: int) -> None:
        """Move the bar on."""
        self._bar.update(images)

    def losses(self, step: int, losses: Mapping[str, float], lr: float) -> None:
        """Report the mean losses of the last steps."""
        self._show_values(loss=losses["loss"])
        self._scalars(step, {**{f"train/{name}": value for name, value in losses.items()}, "lr": lr})

    def epoch(self, history: History, epochs: int, step: int) -> None:
        """Report the epoch that has just ended."""
        row, name = history.rows[-1], f"val_{history.monitor}"
        self._show_values(**{str(history.monitor): row[name]})
        self._epochs += 1
        left = (time.monotonic() - self._began) / self._epochs * (epochs - len(history))
        parts = [f"epoch {len(history)}/{epochs}", f"loss {row['train_loss']:.4f}", f"val loss {row['val_loss']:.4f}"]
        if history.monitor is not Monitor.LOSS:
            parts.append(f"val {history.monitor} {row[name]:.4f}")
        parts += [f"{row['images_per_second']:.0f} images/s", f"{tqdm.format_interval(left)} left"]
        if history.best == len(history) - 1:
            parts.append("(best)")
        self.say("  ".join(parts))
        self._scalars(step, {k.replace("val_", "val/", 1): v for k, v in row.items() if k.startswith("val_")})

    def _show_values(self, **values: float) -> None:
        self._postfix |= {name: f"{value:.4f}" for name, value in values.items()}
        self._bar.set_postfix(self._postfix, refresh=False)

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
