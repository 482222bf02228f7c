"""The results of a sweep on disk.

::

    OUT/results.csv     one row per training
    OUT/results.json    all of it: trainings, settings with their differences to the dense one, choice, test
    OUT/results.md      the same as tables for people
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from softcam.evaluation.result import plain
from softcam.evaluation.sweep.choose import MEASURES, SettingResult
from softcam.evaluation.sweep.run import SweepResult
from softcam.files import atomic_path
from softcam.metrics.bootstrap import PairedDifference
from softcam.training.sweep.folder import SweepFolder
from softcam.training.sweep.grid import DENSE

NAMES = {
    "auroc": "AUROC",
    "accuracy": "accuracy",
    "ece": "calibration error",
    "sparsity": "sparsity",
    "activation_precision": "activation precision",
    "locality": "locality",
}
"""What people call :data:`~softcam.evaluation.sweep.choose.MEASURES`."""


def write_results(result: SweepResult) -> None:
    """Write ``results.csv``, ``results.json`` and ``results.md`` into the sweep's folder."""
    with atomic_path(result.folder / "results.csv") as path, path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(_rows(result))
    with atomic_path(result.folder / "results.json") as path:
        path.write_text(json.dumps(summary(result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic_path(result.folder / "results.md") as path:
        path.write_text(as_markdown(result), encoding="utf-8")


def summary(result: SweepResult) -> dict[str, Any]:
    """Return what JSON can hold of a sweep; a number that is not defined is None."""
    values: dict[str, Any] = plain(
        {
            "folder": str(result.folder),
            "sweep": result.config,
            "chosen": asdict(result.chosen.setting),
            "model": str(result.model),
            "validation": [_setting(each, result) for each in result.settings],
            "test": [_setting(each, result) for each in result.test],
        }
    )
    return values


def _setting(each: SettingResult, result: SweepResult) -> dict[str, Any]:
    return {
        **asdict(each.setting),
        "not_worse": each.not_worse(result.config.margin),
        "mean": each.values,
        "minus_dense": each.differences,
        "runs": [
            {
                "run": str(SweepFolder(result.folder).run(run.point)),
                "seed": run.point.seed,
                **run.values,
                "failure": run.failure or None,
            }
            for run in each.runs
        ],
    }


def _rows(result: SweepResult) -> Iterator[list[Any]]:
    yield ["split", "l1", "l2", "mix", "seed", *MEASURES, "failure"]
    for split, settings in (("val", result.settings), ("test", result.test)):
        for run in (run for each in settings for run in each.runs):
            numbers = ["" if np.isnan(value) else f"{value:.6g}" for value in run.values.values()]
            setting = run.point.setting
            yield [split, setting.l1, setting.l2, setting.mix, run.point.seed, *numbers, run.failure]


def as_markdown(result: SweepResult) -> str:
    """Return the results as Markdown."""
    seeds = len(result.config.seeds)
    parts = [
        "# Sweep",
        f"Validation images, means over {seeds} seed{'s' if seeds > 1 else ''}; differences are to the dense setting, "
        "with 95 % intervals over patients. Sparsity is Hoyer's: 0 for evidence alike everywhere, 1 for one cell.",
        _table(result.settings, result),
        chosen_sentence(result),
    ]
    failures = [f"- {run.point}: {run.failure}" for each in result.settings for run in each.failed]
    if failures:
        parts += ["Trainings that failed; a setting with one of them is not chosen:", "\n".join(failures)]
    if result.test:
        parts += ["## Test images, read once", _table(result.test, result)]
    return "\n\n".join(parts) + "\n"


def chosen_sentence(result: SweepResult) -> str:
    """Say what was chosen and why."""
    chosen, margin = result.chosen, result.config.margin
    if chosen.setting == DENSE:
        return f"Chosen: {DENSE} (dense); no sparser setting is shown to lose less than {margin:g} of AUROC."
    difference = _difference(chosen.differences["auroc"])
    return (
        f"Chosen: {chosen.setting}, the sparsest setting that is shown to lose less than {margin:g} of AUROC "
        f"(difference {difference})."
    )


def _table(settings: Sequence[SettingResult], result: SweepResult) -> str:
    shown = [name for name in MEASURES if not all(np.isnan(each.values[name]) for each in settings)]
    header = ["setting", *(NAMES[name] for name in shown), "AUROC − dense", "not worse"]
    rows = [
        [
            f"**{each.setting}**" if each.setting == result.chosen.setting else str(each.setting),
            *(_number(each.values[name]) for name in shown),
            _difference(each.differences["auroc"]) if "auroc" in each.differences else "",
            "dense" if each.setting == DENSE else "yes" if each.not_worse(result.config.margin) else "no",
        ]
        for each in settings
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows])


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _difference(difference: PairedDifference) -> str:
    return f"{difference.estimate:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
