"""The folder of a run: its configuration, where it comes from, and all that is needed to go on with it.

::

    RUN/config.yaml       the configuration; ``softcam train --config RUN/config.yaml`` repeats the run
    RUN/provenance.json   command, versions, fingerprint of the manifest, number of processes
    RUN/metrics.csv       one row per finished epoch
    RUN/tensorboard/      the same as curves
    RUN/last/epoch-0003/  weights, optimizer, scaler and generators after the last finished epoch
    RUN/model/            the best epoch's model, calibrated
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from softcam.errors import CheckpointError, ConfigError
from softcam.files import atomic_directory, atomic_path
from softcam.model.checkpoint import CARD_FILE, read_card
from softcam.training.config import Monitor, TrainConfig, first_difference
from softcam.training.history import History, Row

CONFIG_FILE, PROVENANCE_FILE, METRICS_FILE = "config.yaml", "provenance.json", "metrics.csv"
MODEL_FOLDER, STATE_FOLDER, TENSORBOARD_FOLDER = "model", "last", "tensorboard"

MAY_DIFFER = frozenset({"run.out", "data.workers", "data.manifest", "optim.epochs", "run.calibration"})
"""What a resumed run may change. The manifest may move, but its content is compared by fingerprint; calibration
touches what is saved, not what is trained."""

_PACKAGES = ("softcam", "torch", "torchvision", "accelerate", "numpy")


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from.

    Attributes:
        command: The command line.
        manifest: Absolute path of the manifest.
        manifest_sha256: Fingerprint of the manifest file.
        processes: Processes that share each step.
        device: Kind of device.
        versions: Versions of the software.
    """

    command: str
    manifest: str
    manifest_sha256: str
    processes: int
    device: str
    versions: dict[str, str]

    @classmethod
    def collect(cls, config: TrainConfig, accelerator: Accelerator) -> Provenance:
        """Gather the facts of this process."""
        path = config.data.manifest.absolute()
        return cls(
            command=" ".join(sys.argv),
            manifest=str(path),
            manifest_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            processes=accelerator.num_processes,
            device=accelerator.device.type,
            versions=software_versions(),
        )


def software_versions() -> dict[str, str]:
    """Return the versions of what a run depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run."""

    path: Path

    @property
    def model(self) -> Path:
        """Folder of the best model."""
        return self.path / MODEL_FOLDER

    @property
    def tensorboard(self) -> Path:
        """Folder of the curves."""
        return self.path / TENSORBOARD_FOLDER

    @property
    def metrics(self) -> Path:
        """Table of the finished epochs."""
        return self.path / METRICS_FILE

    @property
    def last_state(self) -> Path | None:
        """Folder of the state after the last finished epoch; None before the first has ended."""
        return max((self.path / STATE_FOLDER).glob("epoch-*"), default=None)

    def result(self, monitor: Monitor) -> dict[str, Any]:
        """Return what came out of the run: its best epoch, the model's folder, the validation metrics of the model.

        These are as saved, after calibration; ``metrics.csv`` has those of the training as it went.
        """
        history = History.read(self.metrics, monitor)
        best: Row = {} if history.best is None else history.rows[history.best]
        metrics = read_card(self.model).metrics if (self.model / CARD_FILE).is_file() else best
        return {
            "run": str(self.path),
            "model": str(self.model),
            "epochs": len(history),
            "best_epoch": best.get("epoch"),
            "metrics": {k.removeprefix("val_"): v for k, v in metrics.items() if k.startswith("val_")},
        }

    def check(self, config: TrainConfig, provenance: Provenance, resume: bool) -> None:
        """Check that the run may start or go on here.

        Raises:
            ConfigError: The folder holds a run and this is not to resume it, there is none to resume, or the
                one that is there is another.
        """
        exists = (self.path / CONFIG_FILE).is_file()
        if exists and not resume:
            raise ConfigError(f"{self.path} holds a run already; pass --resume, or another --run.out")
        if resume and not exists:
            raise ConfigError(f"{self.path} holds no run to resume; correct --run.out, or leave out --resume")
        if resume:
            self._check_same(config, provenance)

    def _check_same(self, config: TrainConfig, provenance: Provenance) -> None:
        saved = yaml.safe_load((self.path / CONFIG_FILE).read_text(encoding="utf-8"))
        found = first_difference(config.to_dict(), saved, MAY_DIFFER)
        if found is not None:
            raise ConfigError(
                f"{found.name} is {found.ours}, but {self.path} was started with {found.theirs}; "
                "keep it to resume the run, or start another with another --run.out"
            )
        began = json.loads((self.path / PROVENANCE_FILE).read_text(encoding="utf-8"))
        if began["manifest_sha256"] != provenance.manifest_sha256:
            raise ConfigError(
                f"{provenance.manifest} is not the manifest that {self.path} was started with; "
                "resume with that one, or start anew with another --run.out"
            )
        if began["processes"] != provenance.processes:
            raise ConfigError(
                f"{self.path} was started on {began['processes']} processes, this is {provenance.processes}; "
                "resume on as many, so that each step sees as many images"
            )

    def begin(self, config: TrainConfig, provenance: Provenance) -> None:
        """Write the configuration and the provenance of a new run."""
        with atomic_path(self.path / PROVENANCE_FILE) as path:
            path.write_text(json.dumps(vars(provenance), indent=2) + "\n", encoding="utf-8")
        with atomic_path(self.path / CONFIG_FILE) as path:
            path.write_text(yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True), encoding="utf-8")

    def save_state(self, accelerator: Accelerator, history: History) -> None:
        """Keep all that is needed to go on after the last epoch of ``history``, in place of what was kept.

        All processes call this. A new folder takes its name when it is complete and only then the old one
        goes, so a kill at any moment leaves one whole state.
        """
        folder = self.path / STATE_FOLDER / f"epoch-{len(history):04d}"
        with _shared_directory(accelerator, folder) as temporary:
            accelerator.save_state(str(temporary))
            if accelerator.is_main_process:
                history.write(temporary / METRICS_FILE)
        if accelerator.is_main_process:
            for other in folder.parent.iterdir():
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)

    def load_state(self, accelerator: Accelerator, empty: History) -> History:
        """Go back to the last kept state; return the epochs that led to it, none before the first has ended.

        Raises:
            CheckpointError: The state is damaged.
        """
        folder = self.last_state
        if folder is None:
            return empty
        try:
            accelerator.load_state(str(folder))
        except Exception as error:  # whatever a damaged file makes the several readers raise
            reason = str(error).partition("\n")[0]
            raise CheckpointError(
                f"{folder} cannot be loaded ({reason}); remove that folder to begin the run again with --resume"
            ) from error
        return History.read(folder / METRICS_FILE, empty.monitor)


@contextmanager
def _shared_directory(accelerator: Accelerator, path: Path) -> Iterator[Path]:
    """Let all processes write into one temporary folder, which takes its name when all are done."""
    with ExitStack() as stack:
        name = [str(stack.enter_context(atomic_directory(path))) if accelerator.is_main_process else ""]
        broadcast_object_list(name)
        yield Path(name[0])
        accelerator.wait_for_everyone()
    accelerator.wait_for_everyone()
