"""Packages that only some ways of delivery need."""

from __future__ import annotations

import importlib
from types import ModuleType

from softcam.errors import ConfigError


def need(module: str, *, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: Its name.
        extra: The extra of softcam that installs it.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ConfigError(f"this needs {package}, which is missing; pip install 'softcam[{extra}]'") from None
