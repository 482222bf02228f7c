from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.sweep.conftest import tiny_base, use_tiny_networks
from torch import Tensor

from softcam.data.manifest import Manifest, Split
from softcam.errors import ConfigError, SoftCAMError
from softcam.evaluation.result import Evaluation
from softcam.evaluation.sweep.assess import Assessor
from softcam.evaluation.sweep.run import SweepResult, run_sweep
from softcam.evaluation.sweep.write import as_markdown, summary
from softcam.model.checkpoint import Head
from softcam.training.config import TrainConfig
from softcam.training.objective import Objective
from softcam.training.sweep.grid import DENSE, Setting, SweepConfig

pytestmark = pytest.mark.usefixtures("tiny")

MakeBase = Callable[..., TrainConfig]
GRID = SweepConfig(lambda1=(0.02,), mu=(1.0,), seeds=(0, 1), margin=0.5, resamples=20)
LOCAL = Setting(0.02, 0.0, 1.0)


def run(base: TrainConfig, config: SweepConfig = GRID, said: list[str] | None = None) -> SweepResult:
    return run_sweep(base, config, progress=False, say=(said if said is not None else []).append)


@pytest.fixture(scope="module")
def finished(split_squares: Manifest, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_networks(patch)
        return run(tiny_base(split_squares, tmp_path_factory.mktemp("finished") / "sweep"))


@pytest.fixture
def copied(finished: SweepResult, make_base: MakeBase) -> TrainConfig:
    """A finished sweep of which one may change what one likes."""
    base = make_base()
    shutil.copytree(finished.folder, base.run.out)
    return base


def forget_test_images(base: TrainConfig) -> None:
    for folder in base.run.out.glob("runs/*/evaluation/test"):
        shutil.rmtree(folder)


class TestWhole:
    def test_trains_chooses_and_reads_the_test_images_of_two_settings(self, finished: SweepResult) -> None:
        assert [each.setting for each in finished.settings] == [DENSE, LOCAL]
        eligible = [each for each in finished.settings if each.not_worse(0.5)]
        assert finished.chosen.values["sparsity"] == max(each.values["sparsity"] for each in eligible)
        assert len(list(finished.folder.glob("runs/*/evaluation/val"))) == 4
        read = {path.parents[1].name for path in finished.folder.glob("runs/*/evaluation/test")}
        assert read == {run.point.name for each in finished.test for run in each.runs}
        assert {each.setting for each in finished.test} == {DENSE, finished.chosen.setting}
        assert json.loads((finished.folder / "choice.json").read_text())["setting"] == vars(finished.chosen.setting)
        assert {"activation_precision", "locality"} <= finished.settings[1].differences.keys()

    def test_the_run_to_use_is_the_best_of_the_chosen_setting(self, finished: SweepResult) -> None:
        best = max(finished.chosen.runs, key=lambda run: run.values["auroc"])
        assert finished.model == finished.folder / "runs" / best.point.name

    def test_a_sweep_that_was_killed_ends_as_one_that_was_not(
        self, make_base: MakeBase, monkeypatch: pytest.MonkeyPatch, finished: SweepResult
    ) -> None:
        base, original, calls = make_base(), Objective.__call__, iter(range(10**6))

        def call(self: Objective, *args: Any) -> Tensor:
            if next(calls) == 8 + 5:  # in the second epoch of the second training
                raise KeyboardInterrupt
            return original(self, *args)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Objective, "__call__", call)
            run(base)
        assert len(list(base.run.out.glob("runs/*/evaluation/val"))) == 1
        assert not list(base.run.out.glob("runs/*/evaluation/test"))
        said: list[str] = []
        resumed = run(base, said=said)
        assert said[0] == "run 1 of 4: λ1 0, λ2 0, μ 0, seed 0"
        for ours, theirs in ((resumed.settings, finished.settings), (resumed.test, finished.test)):
            assert [each.values for each in ours] == [each.values for each in theirs]
            assert [each.differences for each in ours] == [each.differences for each in theirs]
        assert resumed.chosen.setting == finished.chosen.setting

    def test_a_training_that_fails_is_told_and_the_others_go_on(
        self, make_base: MakeBase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = Objective.__call__

        def call(self: Objective, *args: Any) -> Tensor:
            terms = original(self, *args)
            return terms * math.nan if self.penalties is not None and self.penalties.mix > 0 else terms

        monkeypatch.setattr(Objective, "__call__", call)
        said: list[str] = []
        result = run(make_base(), replace(GRID, seeds=(0,)), said)
        assert [len(each.failed) for each in result.settings] == [0, 1]
        assert result.chosen.setting == DENSE
        assert sum(line.startswith("failed: the loss is nan in epoch 1") for line in said) == 1
        assert "- λ1 0.02, λ2 0, μ 1, seed 0: the loss is nan" in as_markdown(result)
        assert summary(result)["validation"][1]["mean"]["auroc"] is None

    def test_without_a_dense_network_there_is_nothing_to_compare_with(
        self, make_base: MakeBase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = Objective.__call__
        monkeypatch.setattr(Objective, "__call__", lambda self, *args: original(self, *args) * math.nan)
        with pytest.raises(SoftCAMError, match=r"^no training without penalties succeeded, so there is nothing to"):
            run(make_base(), replace(GRID, seeds=(0,)))


class TestTestImages:
    def test_the_choice_is_written_down_before_the_first_is_read(
        self, copied: TrainConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forget_test_images(copied)
        choice = copied.run.out / "choice.json"
        expected = choice.read_text()
        choice.unlink()
        original = Assessor.__call__

        def stop_at_the_first(self: Assessor, run: Path, split: Split) -> Evaluation:
            if split is Split.TEST:
                raise KeyboardInterrupt
            return original(self, run, split)

        monkeypatch.setattr(Assessor, "__call__", stop_at_the_first)
        with pytest.raises(KeyboardInterrupt):
            run(copied)
        assert choice.read_text() == expected

    @pytest.mark.parametrize("first", [DENSE, LOCAL])
    def test_a_choice_is_not_made_again(self, copied: TrainConfig, first: Setting) -> None:
        """Whatever would be chosen now, what was written down holds."""
        choice = copied.run.out / "choice.json"
        choice.write_text(json.dumps({**json.loads(choice.read_text()), "setting": vars(first)}))
        forget_test_images(copied)
        result = run(copied)
        assert result.chosen.setting == first
        assert {each.setting for each in result.test} == {DENSE, first}
        with pytest.raises(ConfigError, match=r"another grid, margin or number of resamples cannot choose again there"):
            run(copied, replace(GRID, margin=0.4))
        with pytest.raises(ConfigError, match=r"cannot choose again there; name another folder with --out$"):
            run(copied, replace(GRID, lambda1=(0.02, 0.2)))

    def test_they_are_read_once(
        self, copied: TrainConfig, finished: SweepResult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("softcam.evaluation.sweep.assess.evaluate", None)
        monkeypatch.setattr("softcam.training.sweep.train.train", None)
        again = run(copied)
        assert [each.values for each in again.test] == [each.values for each in finished.test]

    def test_left_alone_the_grid_may_grow(self, copied: TrainConfig) -> None:
        forget_test_images(copied)
        (copied.run.out / "choice.json").unlink()
        said: list[str] = []
        result = run(copied, replace(GRID, test=False), said)
        assert result.test == ()
        assert said[-1] == "the test images were not read, and the choice is not final"
        assert not (copied.run.out / "choice.json").exists()
        grown = run(copied, replace(GRID, lambda1=(0.02, 0.1)))
        assert len(grown.settings) == 3
        assert grown.test

    def test_without_any_the_choice_stays_open(
        self, make_base: MakeBase, split_squares: Manifest, tmp_path: Path
    ) -> None:
        manifest = split_squares.select(where=lambda sample: sample.split is not Split.TEST)
        path = manifest.write(tmp_path / "manifest.csv").path
        said: list[str] = []
        result = run(make_base(data={"manifest": path}), replace(GRID, seeds=(0,), mu=(0.0,)), said)
        assert (result.test, said[-1]) == ((), "there are no test images, and the choice is not final")


class TestBadInput:
    def test_a_black_box_has_nothing_to_vary(self, make_base: MakeBase) -> None:
        base = make_base(model={"head": Head.GAP})
        with pytest.raises(ConfigError) as error:
            run(base)
        assert str(error.value) == "model.head is gap, whose evidence no penalty shapes; sweep over the softcam head"
        assert not base.run.out.exists()

    def test_several_processes_are_refused(self, make_base: MakeBase, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ConfigError, match=r"^softcam sweep trains on one process; start it without torchrun"):
            run(make_base())
