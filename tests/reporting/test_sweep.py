from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from tests.evaluation.sweep.conftest import make_run

from softcam.evaluation.sweep.choose import RunResult, choose, setting_results
from softcam.evaluation.sweep.run import SweepResult
from softcam.reporting.figures import PALETTE
from softcam.reporting.sweep import write_sweep_figure
from softcam.training.sweep.grid import DENSE, Point, Setting, SweepConfig

SETTINGS = (DENSE, Setting(0.1, 0.0, 0.0), Setting(0.1, 0.0, 1.0))


def make_result(folder: Path, *, annotated: bool = False, failed: bool = False) -> SweepResult:
    runs = [make_run(setting, seed, 0, 0.3 + 0.2 * index) for index, setting in enumerate(SETTINGS) for seed in (0, 1)]
    for evaluation in (run.evaluation for run in runs if annotated):
        assert evaluation is not None
        scores = dict(evaluation.predictions.scores)
        object.__setattr__(evaluation.predictions, "scores", {**scores, "activation_precision": scores["sparsity"] / 2})
    if failed:
        runs[-2:] = [RunResult(Point(SETTINGS[-1], seed), None, "the loss is nan") for seed in (0, 1)]
    results = setting_results(runs, resamples=10)
    config = SweepConfig(lambda1=(0.0, 0.1), mu=(0.0, 1.0), seeds=(0, 1))
    return SweepResult(folder, config, tuple(results), choose(results, 0.01), ())


def painted(path: Path, colour: str) -> int:
    """Number of pixels of this very colour above the legend."""
    pixels = np.asarray(Image.open(path).convert("RGB"))[:-80]
    return int((pixels == np.rint(255 * np.array(to_rgb(colour)))).all(axis=2).sum())


@pytest.mark.parametrize("annotated", [False, True])
def test_there_is_a_column_for_each_measure_that_is_known(tmp_path: Path, annotated: bool) -> None:
    path = write_sweep_figure(make_result(tmp_path, annotated=annotated))
    assert path == tmp_path / "sweep.png"
    width, height = Image.open(path).size
    assert (width > height) == annotated


def test_the_colour_tells_the_weight_of_mix_consistency(tmp_path: Path) -> None:
    path = write_sweep_figure(make_result(tmp_path))
    assert painted(path, PALETTE[0]) > painted(path, PALETTE[1]) > 0


def test_a_setting_that_failed_is_left_out(tmp_path: Path) -> None:
    path = write_sweep_figure(make_result(tmp_path, failed=True))
    assert painted(path, PALETTE[1]) == 0


def test_the_same_sweep_gives_the_same_file(tmp_path: Path) -> None:
    first = write_sweep_figure(make_result(tmp_path)).read_bytes()
    assert write_sweep_figure(make_result(tmp_path)).read_bytes() == first
