from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from softcam.data.transforms import AUGMENTATIONS
from softcam.errors import ConfigError
from softcam.model.task import Task
from softcam.training.config import (
    DataConfig,
    LossConfig,
    ModelConfig,
    Monitor,
    OptimConfig,
    Optimizer,
    RunConfig,
    TrainConfig,
    first_difference,
)

DATA = DataConfig(Path("manifest.csv"))


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (DataConfig, {"manifest": Path("m"), "size": 0}, "data.size is 0; sides are at least 1 px"),
        (DataConfig, {"manifest": Path("m"), "channels": 2}, "data.channels is 2; images have 1 or 3"),
        (
            DataConfig,
            {"manifest": Path("m"), "channels": 1},
            "data.mean is (0.485, 0.456, 0.406); give one number or 1",
        ),
        (
            DataConfig,
            {"manifest": Path("m"), "std": (0.0,)},
            "data.std is (0.0,); deviations are above 0",
        ),
        (
            DataConfig,
            {"manifest": Path("m"), "augmentation": "funds"},
            f"data.augmentation is funds; choose one of {', '.join(AUGMENTATIONS)}",
        ),
        (DataConfig, {"manifest": Path("m"), "workers": -1}, "data.workers is -1; it is at least 0"),
        (ModelConfig, {"stages": ()}, "model.stages is []; name at least one module, or null for the last"),
        (LossConfig, {"l1": -1.0}, "loss.l1 is -1.0; it is a finite number of at least 0"),
        (LossConfig, {"mix": float("nan")}, "loss.mix is nan; it is a finite number of at least 0"),
        (LossConfig, {"mix_fraction": 0.0}, "loss.mix_fraction is 0.0; it lies in (0, 1]"),
        (LossConfig, {"mix_every": 0}, "loss.mix_every is 0; it is at least 1"),
        (OptimConfig, {"lr": 0.0}, "optim.lr is 0.0; a learning rate is a finite number above 0"),
        (OptimConfig, {"lr": 1e-3, "min_lr": 1e-2}, "optim.min_lr is 0.01; it is at most optim.lr (0.001)"),
        (OptimConfig, {"epochs": 0}, "optim.epochs is 0; it is at least 1"),
        (OptimConfig, {"batch_size": 0}, "optim.batch_size is 0; it is at least 1"),
        (OptimConfig, {"momentum": 1.0}, "optim.momentum is 1.0; it lies in [0, 1)"),
        (
            OptimConfig,
            {"optimizer": Optimizer.SGD, "momentum": 0.0},
            "optim.nesterov is True; Nesterov needs optim.momentum above 0",
        ),
        (
            OptimConfig,
            {"epochs": 2, "warmup_epochs": 3.0},
            "optim.warmup_epochs is 3.0; optim.epochs is only 2",
        ),
        (OptimConfig, {"clip_norm": 0.0}, "optim.clip_norm is 0.0; it is above 0, or null for no limit"),
        (ModelConfig, {"head": "cam"}, "model.head is cam; choose one of gap, softcam"),
        (ModelConfig, {"task": "ordinal"}, "model.task is ordinal; choose one of multiclass, binary, multilabel"),
        (OptimConfig, {"precision": "half"}, "optim.precision is half; choose one of fp32, bf16, fp16"),
        (RunConfig, {"calibration": "platt"}, "run.calibration is platt; choose one of none, temperature, bias"),
        (RunConfig, {"seed": -1}, "run.seed is -1; it is at least 0"),
        (RunConfig, {"patience": 0}, "run.patience is 0; it is at least 1, or null for no early stop"),
    ],
)
def test_a_wrong_value_is_named_as_in_yaml_and_flags(kind: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        kind(**values)
    assert str(error.value) == message


def test_strings_become_members_of_their_enumerations() -> None:
    assert OptimConfig(optimizer="sgd").optimizer is Optimizer.SGD  # type: ignore[arg-type]
    assert RunConfig(monitor="loss").monitor is Monitor.LOSS  # type: ignore[arg-type]
    assert ModelConfig(task="binary").task is Task.BINARY  # type: ignore[arg-type]


def test_balancing_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^loss.class_weights is True; optim.balanced_sampling balances already"):
        TrainConfig(DATA, loss=LossConfig(class_weights=True), optim=OptimConfig(balanced_sampling=True))


def test_one_number_stands_for_a_square_and_for_all_channels() -> None:
    preprocessing = replace(DATA, size=48, mean=(0.2,), std=(0.3,)).preprocessing
    assert (preprocessing.size, preprocessing.mean, preprocessing.std) == ((48, 48), (0.2,) * 3, (0.3,) * 3)
    assert replace(DATA, size=(48, 64)).preprocessing.size == (48, 64)


def test_every_monitor_has_a_direction() -> None:
    assert {monitor for monitor in Monitor if not monitor.direction.improves(1.0, 0.0)} == {Monitor.LOSS}


def test_plain_values_survive_yaml() -> None:
    config = TrainConfig(DATA, ModelConfig(stages=("layer2", "layer3")))
    plain = config.to_dict()
    assert yaml.safe_load(yaml.safe_dump(plain)) == plain
    assert plain["model"]["head"] == "softcam"
    assert plain["data"]["manifest"] == str(Path("manifest.csv").absolute())


def test_the_first_difference_is_named() -> None:
    ours = TrainConfig(DATA).to_dict()
    theirs = TrainConfig(DATA, optim=OptimConfig(lr=1e-2, epochs=5), run=RunConfig(seed=1)).to_dict()
    found = first_difference(ours, theirs, frozenset({"optim.epochs"}))
    assert found is not None
    assert (found.name, found.ours, found.theirs) == ("optim.lr", 3e-4, 1e-2)
    assert first_difference(ours, theirs, frozenset({"optim.epochs", "optim.lr", "run.seed"})) is None
