from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.training.conftest import write_manifest

from softcam.errors import ConfigError
from softcam.training.config import TrainConfig
from softcam.training.sweep.folder import SweepFolder
from softcam.training.sweep.grid import DENSE, Point, Setting, SweepConfig

MakeConfig = Callable[..., TrainConfig]
CHOSEN = Setting(0.02, 0.0, 1.0)


def begin(folder: SweepFolder) -> None:
    run = folder.run(Point(DENSE, 0))
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("{}")


def test_until_the_first_run_has_begun_anything_may_be_corrected(make_config: MakeConfig) -> None:
    folder = SweepFolder(make_config().run.out)
    folder.claim(make_config(optim={"epochs": 9}))
    folder.claim(make_config())
    begin(folder)
    with pytest.raises(ConfigError, match=r"^optim.epochs is 9, but .* was started with 3;"):
        folder.claim(make_config(optim={"epochs": 9}))


def test_a_sweep_goes_on_with_what_it_varies_changed_and_nothing_else(make_config: MakeConfig) -> None:
    base = make_config()
    folder = SweepFolder(base.run.out)
    folder.claim(base)
    begin(folder)
    folder.claim(make_config(loss={"l1": 0.5, "l2": 0.5, "mix": 0.0}, run={"seed": 9}, data={"workers": 1}))
    for changes, field in (({"optim": {"epochs": 9}}, "optim.epochs is 9"), ({"loss": {"mix_every": 2}}, "loss.mix_")):
        with pytest.raises(ConfigError, match=rf"^{field}.* was started with .*; keep it to go on with the sweep"):
            folder.claim(make_config(**changes))


def test_another_manifest_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "images")
    assert manifest.path is not None
    base = make_config(data={"manifest": manifest.path})
    SweepFolder(base.run.out).claim(base)
    begin(SweepFolder(base.run.out))
    manifest.path.write_text(manifest.path.read_text() + "\n")
    with pytest.raises(ConfigError, match=r"manifest.csv is not the manifest that .* was started with; restore it$"):
        SweepFolder(base.run.out).claim(base)


def test_a_run_is_not_taken_for_a_sweep(tmp_path: Path, make_config: MakeConfig) -> None:
    base = make_config()
    base.run.out.mkdir()
    (base.run.out / "config.yaml").write_text("{}")
    with pytest.raises(ConfigError) as error:
        SweepFolder(base.run.out).claim(base)
    assert str(error.value) == f"{base.run.out} holds a run, not a sweep; name another folder with --out"


def test_a_failure_is_remembered(tmp_path: Path) -> None:
    folder, point = SweepFolder(tmp_path), Point(DENSE, 0)
    assert folder.failure(point) == ""
    folder.note_failure(point, "the loss is nan")
    assert (folder.failure(point), folder.failure(Point(DENSE, 1))) == ("the loss is nan", "")


def test_a_choice_is_final(tmp_path: Path) -> None:
    folder, config = SweepFolder(tmp_path), SweepConfig(seeds=(0, 1))
    assert folder.choice(config) is None
    folder.fix_choice(config, CHOSEN)
    assert folder.choice(config) == CHOSEN
    assert folder.choice(replace(config, seeds=(1, 0), test=False)) == CHOSEN
    for changed in (replace(config, seeds=(0,)), replace(config, margin=0.02), replace(config, resamples=10)):
        with pytest.raises(ConfigError, match=r"has chosen λ1 0.02, λ2 0, μ 1 and read the test images for it"):
            folder.choice(changed)
