"""How a network learns: configuration, loop, resume.

::

    from softcam.training import DataConfig, RunConfig, TrainConfig, train

    run = train(TrainConfig(DataConfig("manifest.csv"), run=RunConfig(out="runs/first")))

The public names are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softcam.training.config import (
        Calibration as Calibration,
        DataConfig as DataConfig,
        LossConfig as LossConfig,
        ModelConfig as ModelConfig,
        Monitor as Monitor,
        OptimConfig as OptimConfig,
        Optimizer as Optimizer,
        Precision as Precision,
        RunConfig as RunConfig,
        TrainConfig as TrainConfig,
    )
    from softcam.training.loop import train as train

_CONFIG = (
    "Calibration",
    "DataConfig",
    "LossConfig",
    "ModelConfig",
    "Monitor",
    "OptimConfig",
    "Optimizer",
    "Precision",
    "RunConfig",
    "TrainConfig",
)
_HOME_OF = dict.fromkeys(_CONFIG, "config") | {"train": "loop"}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'softcam.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
