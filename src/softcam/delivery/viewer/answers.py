"""What the viewer tells the page, as JSON holds it."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softcam import __version__
from softcam.delivery.viewer.limits import Limits
from softcam.delivery.viewer.preparing import Prepared
from softcam.delivery.viewer.viewed import ViewedModel
from softcam.errors import DataError
from softcam.reporting.colours import colour
from softcam.reporting.record import ImageEvidence
from softcam.reporting.selection import common_limit, decide

_COLOURS = 511  # as many as softcam.reporting.colours has
_RANGES = re.compile(r"\d{1,9}-\d{1,9}(,\d{1,9}-\d{1,9})*")


def describe_session(models: Sequence[ViewedModel], folder: Sequence[str], limits: Limits) -> dict[str, Any]:
    """Describe what the page is about: models, the images of the folder, colours, limits."""
    return {
        "version": __version__,
        "models": [_describe_model(each) for each in models],
        "folder": list(folder),
        "palette": _encode(colour(np.linspace(-1, 1, _COLOURS), 1)),
        "upload_bytes": limits.upload_bytes,
    }


def describe_image(image: Prepared) -> dict[str, Any]:
    """Describe an image and its pixels: ``(h, w, C)``, 8 or 16 bits, little-endian, in base64."""
    height, width, channels = image.view.shape
    bits = 8 * image.view.itemsize
    pixels = _encode(image.view.astype(image.view.dtype.newbyteorder("<")))
    view = {"height": height, "width": width, "channels": channels, "bits": bits, "pixels": pixels}
    return {**asdict(image.facts), "view": view}


def describe_evidence(model: ViewedModel, evidence: ImageEvidence) -> dict[str, Any]:
    """Describe a decision and its evidence: maps ``(K, h, w)`` without bias, float32, little-endian, in base64."""
    return {
        **describe_decision(model, evidence),
        "bias": evidence.bias.tolist(),
        "maps": _encode(evidence.maps.astype("<f4")),
        "limit": common_limit([evidence.shown]),
    }


def describe_decision(model: ViewedModel, evidence: ImageEvidence) -> dict[str, Any]:
    """Describe a decision.

    Raises:
        DataError: It is none: the network gave something that is not a number.
    """
    if not evidence.finite:
        raise DataError(f"{model.name} gives evidence that is not finite; check the weights of the model")
    return {
        "logits": evidence.logits.tolist(),
        "probabilities": evidence.probabilities.tolist(),
        "decision": list(decide(model.card, evidence.probabilities.tolist())),
    }


def read_cells(ranges: str, map_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read which cells of a map are meant.

    Args:
        ranges: First and last cell of each run, counted row by row from 0, such as ``"3-5,17-17"``; empty for none.
        map_size: ``(h, w)``.

    Returns:
        ``(h, w)``.

    Raises:
        DataError: It cannot be read, or the map has no such cell.
    """
    height, width = map_size
    cells = np.zeros(height * width, dtype=bool)
    if ranges and not _RANGES.fullmatch(ranges):
        raise DataError("the cells are no list of ranges such as 3-5,17-17; count them row by row from 0")
    for run in filter(None, ranges.split(",")):
        first, last = map(int, run.split("-"))
        if not first <= last < len(cells):
            raise DataError(f"the cells {run} are not in a map of {height} × {width}; count them row by row from 0")
        cells[first : last + 1] = True
    return cells.reshape(map_size)


def _describe_model(model: ViewedModel) -> dict[str, Any]:
    height, width = model.map_size
    return {
        "name": model.name,
        "task": str(model.card.task),
        "classes": list(model.card.classes),
        "outputs": list(model.card.output_names),
        "backbone": model.card.backbone,
        "input": list(model.preprocessing.size),
        "height": height,
        "width": width,
        "limit": model.limit,
    }


def _encode(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
