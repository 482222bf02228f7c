"""The one door to captum, an optional dependency."""

from __future__ import annotations

import importlib
from typing import Any

from softcam.errors import ConfigError


def load_captum(explainer: str) -> Any:
    """Return ``captum.attr``.

    Raises:
        ConfigError: It is not installed; the message names the ``explainer`` that needs it.
    """
    try:
        return importlib.import_module("captum.attr")
    except ImportError as error:
        raise ConfigError(f"{explainer} needs captum: pip install 'softcam[compare]'") from error
