"""Data sets as they come: one module per layout, each with a function that makes a manifest of it."""

from __future__ import annotations

from collections.abc import Callable

from softcam.data.manifest import Manifest
from softcam.data.sources.eyepacs import prepare_eyepacs
from softcam.data.sources.folder import prepare_folder
from softcam.data.sources.implants import prepare_implants
from softcam.data.sources.kermany import prepare_kermany
from softcam.data.sources.medmnist import prepare_medmnist
from softcam.data.sources.nih import prepare_nih
from softcam.data.sources.phantom import prepare_phantom
from softcam.data.sources.rsna import prepare_rsna
from softcam.data.sources.table import prepare_csv

SOURCES: dict[str, Callable[..., Manifest]] = {
    "csv": prepare_csv,
    "eyepacs": prepare_eyepacs,
    "folder": prepare_folder,
    "implants": prepare_implants,
    "kermany": prepare_kermany,
    "medmnist": prepare_medmnist,
    "nih": prepare_nih,
    "phantom": prepare_phantom,
    "rsna": prepare_rsna,
}
"""Name on the command line to function."""
