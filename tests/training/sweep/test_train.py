from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from softcam.errors import ConfigError
from softcam.training.config import TrainConfig
from softcam.training.objective import Objective
from softcam.training.sweep.folder import SweepFolder
from softcam.training.sweep.grid import DENSE, Point, Setting
from softcam.training.sweep.train import train_or_continue, train_point

pytestmark = pytest.mark.usefixtures("tiny")

MakeConfig = Callable[..., TrainConfig]


def test_a_loss_that_is_not_finite_is_noted_once_and_the_others_go_on(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Objective.__call__

    def call(self: Objective, *args: Any) -> Tensor:
        terms = original(self, *args)
        return terms * math.nan if self.penalties is not None and self.penalties.l1 > 0 else terms

    monkeypatch.setattr(Objective, "__call__", call)
    base = make_config(optim={"epochs": 1})
    failing = Point(Setting(0.1, 0.0, 0.0), 0)
    assert train_point(base, failing, progress=False) is None
    reason = SweepFolder(base.run.out).failure(failing)
    assert reason.startswith("the loss is nan in epoch 1 at the images ")
    monkeypatch.setattr(Objective, "__call__", original)
    assert train_point(base, failing, progress=False) is None
    done = train_point(base, Point(DENSE, 0), progress=False)
    assert done == base.run.out / "runs" / "l1-0_l2-0_mix-0_seed-0"
    assert (done / "model").is_dir()


def test_a_question_that_makes_no_sense_is_not_a_failed_training(make_config: MakeConfig) -> None:
    base = make_config(data={"size": 8})
    with pytest.raises(ConfigError, match=r"^loss.mix is 1.0, but at data.size 8 the evidence map is a single cell"):
        train_point(base, Point(Setting(0.0, 0.0, 1.0), 0), progress=False)
    assert not SweepFolder(base.run.out).failure(Point(Setting(0.0, 0.0, 1.0), 0))


def test_what_has_finished_is_taken_as_it_is(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(optim={"epochs": 1})
    run = train_or_continue(config, progress=False)
    monkeypatch.setattr("softcam.training.sweep.train.train", None)
    assert train_or_continue(config, progress=False) == run


def test_early_stopping_is_an_end_too(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.9, 0.5, 0.5])
    monkeypatch.setattr("softcam.training.loop.classification_metrics", lambda *_: {"auroc": next(values)})
    config = make_config(optim={"epochs": 8}, run={"patience": 1})
    run = train_or_continue(config, progress=False)
    monkeypatch.setattr("softcam.training.sweep.train.train", None)
    assert train_or_continue(config, progress=False) == run
