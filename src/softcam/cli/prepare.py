"""softcam prepare: any data set into one manifest."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from softcam.cli.output import show, table
from softcam.data.manifest import Manifest
from softcam.data.sources import SOURCES


def summary(manifest: Manifest) -> dict[str, Any]:
    """Say what is in a manifest.

    Args:
        manifest: The manifest.

    Returns:
        Its path, the numbers of images, patients and annotated images, the classes, and the images per split
        and class.
    """
    return {
        "manifest": manifest.path,
        "images": len(manifest),
        "patients": len(manifest.patients),
        "annotated": sum(bool(sample.annotations) for sample in manifest.samples),
        "classes": manifest.classes,
        "counts": manifest.counts(),
    }


def describe(manifest: Manifest) -> str:
    """Say what is in a manifest, in a sentence and a table."""
    facts = summary(manifest)
    counts: Mapping[str, Mapping[str, int]] = facts["counts"]
    rows = [(name, *(split[name] for split in counts.values())) for name in manifest.classes]
    sizes = [sum(str(sample.split or "none") == split for sample in manifest.samples) for split in counts]
    return "\n".join(
        (
            f"{facts['manifest']}: {facts['images']} images of {facts['patients']} patients, "
            f"{facts['annotated']} with annotations",
            table(("class", *counts), [*rows, ("images", *sizes)]),
        )
    )


def _printing(prepare: Callable[..., Manifest]) -> Callable[..., None]:
    """The command of a source: its function, with a flag for JSON, that prints what it made."""

    @functools.wraps(prepare)
    def command(*, json: bool, **options: Any) -> None:
        manifest = prepare(**options)
        show(summary(manifest), describe(manifest), json)

    signature = inspect.signature(prepare)
    flag = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    vars(command)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), flag])
    command.__annotations__ = {**prepare.__annotations__, "json": bool}
    command.__doc__ = (inspect.getdoc(prepare) or "").replace(
        "\n\nReturns:", "\n    json: Print the summary as JSON.\n\nReturns:"
    )
    return command


COMMANDS = {name: _printing(prepare) for name, prepare in SOURCES.items()}
"""Name of the source to command."""
