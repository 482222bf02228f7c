"""A sweep from the first training to the test images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from softcam.data.manifest import Manifest, Split
from softcam.errors import ConfigError, SoftCAMError
from softcam.evaluation.sweep.assess import Assessor
from softcam.evaluation.sweep.choose import RunResult, SettingResult, choose, setting_results
from softcam.model.checkpoint import Head
from softcam.training.config import TrainConfig
from softcam.training.sweep.folder import SweepFolder
from softcam.training.sweep.grid import DENSE, SweepConfig
from softcam.training.sweep.train import train_point


@dataclass(frozen=True, eq=False)
class SweepResult:
    """What a sweep found.

    Attributes:
        folder: Where all of it is.
        config: What was varied.
        settings: What each setting is worth on the validation images.
        chosen: The setting that was taken.
        test: What the dense and the chosen setting are worth on the test images, in this order, or the dense one
            alone where it was chosen; empty where the test images were not read.
    """

    folder: Path
    config: SweepConfig
    settings: tuple[SettingResult, ...]
    chosen: SettingResult
    test: tuple[SettingResult, ...]

    @property
    def model(self) -> Path:
        """Folder of the run to use: of the chosen setting that with the highest AUROC on the validation images."""
        finished = [run for run in self.chosen.runs if run.evaluation is not None]
        return SweepFolder(self.folder).run(max(finished, key=lambda run: run.values["auroc"]).point)


def run_sweep(
    base: TrainConfig,
    config: SweepConfig,
    *,
    device: str | torch.device = "cpu",
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> SweepResult:
    """Train all points of a grid, choose one on the validation images, and read the test images once.

    Called again with the same arguments it goes on where it was interrupted. The grid may have grown meanwhile, until
    the choice is made: that is written down before the first test image is read, and then neither changes nor is made
    again.

    Args:
        base: What all trainings share; ``run.out`` is the sweep's folder.
        config: What is varied, and how the choice is made.
        device: Where the trained networks are evaluated.
        progress: Whether to show the progress of each training and evaluation.
        say: Receives a line about each part.

    Returns:
        What was found.

    Raises:
        ConfigError: The folder holds something else, or the choice was made from another grid.
        DataError: The images cannot be used.
        SoftCAMError: Every training of the dense setting failed.
    """
    _require_usable(base)
    folder, manifest = SweepFolder(base.run.out), Manifest.read(base.data.manifest)
    folder.claim(base)
    fixed = folder.choice(config)
    assess = Assessor(
        manifest,
        batch_size=base.optim.batch_size,
        workers=base.data.workers,
        device=device,
        resamples=config.resamples,
        progress=progress,
    )
    runs = list(_train_and_assess(base, config, assess, say, progress))
    if all(run.evaluation is None for run in runs if run.point.setting == DENSE):
        reason = next(run.failure for run in runs if run.point.setting == DENSE)
        raise SoftCAMError(f"no training without penalties succeeded, so there is nothing to compare with ({reason})")
    settings = setting_results(runs, resamples=config.resamples)
    chosen = choose(settings, config.margin) if fixed is None else next(s for s in settings if s.setting == fixed)
    result = SweepResult(folder.path, config, tuple(settings), chosen, ())
    say(f"chosen on validation images: {chosen.setting}")
    if fixed is None and not _may_read_test(config, manifest, say):
        return result
    if fixed is None:
        folder.fix_choice(config, chosen.setting)
    return replace(result, test=_read_test(result, assess, say))


def _require_usable(base: TrainConfig) -> None:
    if base.model.head is not Head.SOFTCAM:
        raise ConfigError("model.head is gap, whose evidence no penalty shapes; sweep over the softcam head")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("softcam sweep trains on one process; start it without torchrun or accelerate launch")


def _train_and_assess(
    base: TrainConfig, config: SweepConfig, assess: Assessor, say: Callable[[str], None], progress: bool
) -> Iterator[RunResult]:
    folder, points = SweepFolder(base.run.out), config.points
    for number, point in enumerate(points, start=1):
        say(f"run {number} of {len(points)}: {point}")
        run = train_point(base, point, progress=progress)
        if run is None:
            say(f"failed: {folder.failure(point)}")
            yield RunResult(point, None, folder.failure(point))
        else:
            yield RunResult(point, assess(run, Split.VAL))


def _may_read_test(config: SweepConfig, manifest: Manifest, say: Callable[[str], None]) -> bool:
    if not config.test:
        say("the test images were not read, and the choice is not final")
    elif not manifest.select(Split.TEST).samples:
        say("there are no test images, and the choice is not final")
    else:
        return True
    return False


def _read_test(result: SweepResult, assess: Assessor, say: Callable[[str], None]) -> tuple[SettingResult, ...]:
    """Evaluate the dense and the chosen setting on the test images."""
    say("reading the test images, for the dense and the chosen setting")
    folder = SweepFolder(result.folder)
    compared: Sequence[SettingResult] = [s for s in result.settings if s.setting in (DENSE, result.chosen.setting)]
    runs = [
        run if run.evaluation is None else RunResult(run.point, assess(folder.run(run.point), Split.TEST))
        for setting in compared
        for run in setting.runs
    ]
    return tuple(setting_results(runs, resamples=result.config.resamples))
