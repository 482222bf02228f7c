"""Self-explaining image classifiers: class evidence maps that add up to the decision.

The public names are loaded on first use, so that ``import softcam`` itself stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softcam.errors import (
        CheckpointError as CheckpointError,
        ConfigError as ConfigError,
        ConversionError as ConversionError,
        DataError as DataError,
        SoftCAMError as SoftCAMError,
    )
    from softcam.losses import (
        Convention as Convention,
        ElasticNet as ElasticNet,
        MixConsistency as MixConsistency,
    )
    from softcam.model.checkpoint import (
        Checkpoint as Checkpoint,
        ModelCard as ModelCard,
        load_checkpoint as load_checkpoint,
        save_checkpoint as save_checkpoint,
    )
    from softcam.model.convert import convert as convert
    from softcam.model.evidence import ClassEvidence as ClassEvidence, Evidence as Evidence, SoftCAM as SoftCAM
    from softcam.model.report import ConversionReport as ConversionReport
    from softcam.model.task import Task as Task

__version__ = "0.1.0"

_HOMES = {
    "softcam.errors": ("CheckpointError", "ConfigError", "ConversionError", "DataError", "SoftCAMError"),
    "softcam.losses": ("Convention", "ElasticNet", "MixConsistency"),
    "softcam.model.checkpoint": ("Checkpoint", "ModelCard", "load_checkpoint", "save_checkpoint"),
    "softcam.model.convert": ("convert",),
    "softcam.model.evidence": ("ClassEvidence", "Evidence", "SoftCAM"),
    "softcam.model.report": ("ConversionReport",),
    "softcam.model.task": ("Task",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'softcam' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
