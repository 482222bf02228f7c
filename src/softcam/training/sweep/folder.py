"""The folder of a sweep, and what it remembers.

::

    OUT/sweep.yaml          the configuration all runs share, and the manifest's fingerprint
    OUT/runs/NAME/          one ordinary run per point
    OUT/runs/NAME/failed    why a point could not be trained, in one sentence
    OUT/choice.json         what was chosen, written before the first test image is read
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from softcam.errors import ConfigError
from softcam.files import atomic_path
from softcam.training.config import TrainConfig, first_difference
from softcam.training.state import CONFIG_FILE, MAY_DIFFER
from softcam.training.sweep.grid import Point, Setting, SweepConfig

SWEEP_FILE, CHOICE_FILE, FAILURE_FILE = "sweep.yaml", "choice.json", "failed"

_VARIED = frozenset({"loss.l1", "loss.l2", "loss.mix", "run.seed"})
_MAY_DIFFER = (MAY_DIFFER - {"optim.epochs", "run.calibration"}) | _VARIED


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep."""

    path: Path

    def claim(self, base: TrainConfig) -> None:
        """Note what all runs share or, once the first has begun, check that it is what was noted.

        Raises:
            ConfigError: The folder holds a run, or a sweep of something else.
        """
        if (self.path / CONFIG_FILE).is_file():
            raise ConfigError(f"{self.path} holds a run, not a sweep; name another folder with --out")
        shared = {**base.to_dict(), "manifest_sha256": hashlib.sha256(base.data.manifest.read_bytes()).hexdigest()}
        file = self.path / SWEEP_FILE
        begun = any((self.path / "runs").glob(f"*/{CONFIG_FILE}"))
        if not (begun and file.is_file()):
            with atomic_path(file) as temporary:
                temporary.write_text(yaml.safe_dump(shared, sort_keys=False, allow_unicode=True), encoding="utf-8")
            return
        found = first_difference(shared, yaml.safe_load(file.read_text(encoding="utf-8")), _MAY_DIFFER)
        if found is not None and found.name == "manifest_sha256":
            raise ConfigError(f"{base.data.manifest} is not the manifest that {self.path} was started with; restore it")
        if found is not None:
            raise ConfigError(
                f"{found.name} is {found.ours}, but {self.path} was started with {found.theirs}; "
                "keep it to go on with the sweep, or start another with another --out"
            )

    def run(self, point: Point) -> Path:
        """Return the folder of a point's run."""
        return self.path / "runs" / point.name

    def failure(self, point: Point) -> str:
        """Return why a point could not be trained; empty where nothing is known against it."""
        file = self.run(point) / FAILURE_FILE
        return file.read_text(encoding="utf-8").strip() if file.is_file() else ""

    def note_failure(self, point: Point, reason: str) -> None:
        """Remember why a point could not be trained."""
        with atomic_path(self.run(point) / FAILURE_FILE) as temporary:
            temporary.write_text(reason + "\n", encoding="utf-8")

    def choice(self, config: SweepConfig) -> Setting | None:
        """Return the setting that was chosen before the test images were read; None where none was yet.

        Raises:
            ConfigError: It was chosen from another grid, or by another margin.
        """
        file = self.path / CHOICE_FILE
        if not file.is_file():
            return None
        saved = json.loads(file.read_text(encoding="utf-8"))
        if saved["among"] != _among(config):
            raise ConfigError(
                f"{self.path} has chosen {Setting(**saved['setting'])} and read the test images for it, so another "
                "grid, margin or number of resamples cannot choose again there; name another folder with --out"
            )
        return Setting(**saved["setting"])

    def fix_choice(self, config: SweepConfig, setting: Setting) -> None:
        """Write down the choice, before the test images are read."""
        record = {"setting": asdict(setting), "among": _among(config)}
        with atomic_path(self.path / CHOICE_FILE) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _among(config: SweepConfig) -> dict[str, Any]:
    """Return what a choice depends on."""
    return {
        "points": sorted(point.name for point in config.points),
        "margin": config.margin,
        "resamples": config.resamples,
    }
