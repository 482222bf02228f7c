"""Generated lesions in real healthy images, with exact masks.

The public names are loaded on first use: the command line asks for the options alone, without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softcam.data.implants.make import Implant as Implant, make_implant as make_implant
    from softcam.data.implants.options import ImplantKind as ImplantKind, ImplantOptions as ImplantOptions
    from softcam.data.implants.write import write_implants as write_implants

_HOME_OF = {
    "Implant": "make",
    "make_implant": "make",
    "ImplantKind": "options",
    "ImplantOptions": "options",
    "write_implants": "write",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'softcam.data.implants' has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
