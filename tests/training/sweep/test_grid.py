from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.errors import ConfigError
from softcam.training.config import TrainConfig
from softcam.training.sweep.grid import DENSE, Point, Setting, SweepConfig, point_config

MakeConfig = Callable[..., TrainConfig]


def test_every_combination_is_trained_with_every_seed_and_the_dense_one_always() -> None:
    config = SweepConfig(lambda1=(0.01, 0.1), lambda2=(0.0, 0.5), mu=(1.0,), seeds=(3, 4))
    combined = [Setting(l1, l2, 1.0) for l1 in (0.01, 0.1) for l2 in (0.0, 0.5)]
    assert config.settings == (DENSE, *combined)
    assert config.points == tuple(Point(setting, seed) for setting in (DENSE, *combined) for seed in (3, 4))
    assert SweepConfig(lambda1=(0.1, 0.0), mu=(0.0,)).settings == (DENSE, Setting(0.1, 0.0, 0.0))


def test_names_tell_points_apart() -> None:
    points = SweepConfig(lambda1=(0.0, 1e-5, 0.02), lambda2=(0.0, 7e-5), mu=(0.0, 0.5)).points
    assert len({point.name for point in points}) == len(points)
    assert Point(Setting(1e-5, 0.0, 0.5), 2).name == "l1-1e-05_l2-0_mix-0.5_seed-2"


def test_a_point_changes_its_penalties_seed_and_folder_alone(make_config: MakeConfig, tmp_path: Path) -> None:
    base = make_config(loss={"class_weights": True})
    config = point_config(base, Point(Setting(0.1, 0.2, 0.3), 7))
    assert (config.loss.l1, config.loss.l2, config.loss.mix, config.run.seed) == (0.1, 0.2, 0.3, 7)
    assert config.run.out == tmp_path / "run" / "runs" / "l1-0.1_l2-0.2_mix-0.3_seed-7"
    assert point_config(config, Point(Setting(base.loss.l1, base.loss.l2, base.loss.mix), 0)).loss == base.loss
    assert (config.data, config.model, config.optim) == (base.data, base.model, base.optim)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lambda1": ()}, "sweep.lambda1 is []; give different finite numbers of at least 0"),
        ({"mu": (1.0, 1.0)}, "sweep.mu is [1,1]; give different finite numbers of at least 0"),
        ({"lambda2": (-1.0,)}, "sweep.lambda2 is [-1]; give different finite numbers of at least 0"),
        ({"seeds": (0, 0)}, "sweep.seeds is [0,0]; give different finite numbers of at least 0"),
        ({"margin": 0.0}, "sweep.margin is 0.0; it is a difference of AUROC above 0"),
        ({"margin": math.nan}, "sweep.margin is nan; it is a difference of AUROC above 0"),
        ({"resamples": 0}, "sweep.resamples is 0; it is at least 1"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        SweepConfig(**values)  # type: ignore[arg-type]
    assert str(error.value) == message
