from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from softcam.training.config import Monitor
from softcam.training.history import History
from softcam.training.log import RunLog

ROW = {"train_loss": 0.5, "val_loss": 0.25, "val_auroc": 0.75, "images_per_second": 12.3}


def report(folder: Path, **options: bool) -> None:
    with RunLog(folder, images=20, done=0, step=0, enabled=True, **options) as log:
        for step in (1, 2):
            log.step(5)
            log.losses(step, {"loss": step / 10, "mix": 0.0}, lr=0.01)
        log.epoch(History(Monitor.AUROC, (ROW,)), 2, step=2)


def test_on_a_terminal_a_bar_shows_loss_metric_speed_and_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    report(tmp_path)
    last = capsys.readouterr().err.strip().splitlines()[-1].rpartition("\r")[2]
    assert "10/20 [" in last
    assert "<" in last  # elapsed < left
    assert "images/s, loss=0.2000, auroc=0.7500]" in last


def test_in_a_file_an_epoch_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(tmp_path)
    line = "epoch 1/2  loss 0.5000  val loss 0.2500  val auroc 0.7500  12 images/s  00:00 left  (best)\n"
    assert capsys.readouterr() == ("", line)


def test_silent_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(tmp_path, progress=False)
    assert capsys.readouterr() == ("", "")


def test_tensorboard_gets_every_number_at_its_step(tmp_path: Path) -> None:
    report(tmp_path, progress=False)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "train/mix", "lr", "val/loss", "val/auroc"}
    assert [(event.step, round(event.value, 6)) for event in events.Scalars("train/loss")] == [(1, 0.1), (2, 0.2)]
    assert [(event.step, event.value) for event in events.Scalars("val/auroc")] == [(2, 0.75)]


def test_a_resumed_run_replaces_the_steps_after_the_kept_epoch(tmp_path: Path) -> None:
    report(tmp_path, progress=False)
    with RunLog(tmp_path, images=20, done=5, step=1, enabled=True, progress=False) as log:
        log.losses(2, {"loss": 0.9}, lr=0.01)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, round(event.value, 6)) for event in events.Scalars("train/loss")] == [(1, 0.1), (2, 0.9)]


def test_processes_other_than_the_main_one_leave_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(tmp_path / "tensorboard", images=1, done=0, step=0, enabled=False) as log:
        log.step(1)
        log.losses(1, {"loss": 1.0}, lr=0.1)
        log.say("hello")
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "tensorboard").exists()
