"""The maps of a batch: each class that is asked of an image explained once, and failures kept apart."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from softcam.errors import ConfigError, ConversionError
from softcam.explainers import Explainer, Explanation

Request: TypeAlias = tuple[int, int]
"""An image of the batch, and the output of the model to explain."""


@dataclass(frozen=True, eq=False)
class BatchMaps:
    """What an explainer says about the images of a batch.

    Attributes:
        maps: ``(H, W)`` each, finite; without those of images in ``errors``.
        errors: Why there is no map, by image.
        map_size: Resolution of the method; None if it failed on all images.
        passes: Forward passes per map.
        seconds: Time per map.
    """

    maps: Mapping[Request, Tensor]
    errors: Mapping[int, str]
    map_size: tuple[int, int] | None
    passes: float
    seconds: float


def explain_batch(explainer: Explainer, images: Tensor, requests: Sequence[Request], size: int) -> BatchMaps:
    """Explain images.

    An image on which the explainer fails, or gives NaN or infinity, is kept apart with the reason; it does not spoil
    the others of its batch, which are explained one by one where the explainer gives up on all of them.

    Args:
        explainer: The method.
        images: ``(n, C, H, W)``.
        requests: Images and outputs, each pair once.
        size: How many to explain at once.

    Raises:
        ConfigError: The explainer cannot work like this on any image; also ConversionError.
    """
    started = _now(images)
    maps: dict[Request, Tensor] = {}
    errors: dict[int, str] = {}
    explanation: Explanation | None = None
    for start in range(0, len(requests), size):
        chunk = requests[start : start + size]
        for part in _explanations(explainer, images, chunk, errors):
            explanation = part.explanation
            maps.update(zip(part.requests, part.explanation.maps, strict=True))
    for (row, _), image_map in maps.items():
        if not image_map.isfinite().all():
            errors.setdefault(row, "the map holds NaN or infinity")
    seconds = (_now(images) - started) / max(1, len(requests))
    good = {request: image_map for request, image_map in maps.items() if request[0] not in errors}
    if explanation is None:
        return BatchMaps(good, errors, None, float("nan"), seconds)
    return BatchMaps(good, errors, explanation.map_size, explanation.forward_passes, seconds)


@dataclass(frozen=True, eq=False)
class _Part:
    requests: Sequence[Request]
    explanation: Explanation


def _explanations(
    explainer: Explainer, images: Tensor, requests: Sequence[Request], errors: dict[int, str]
) -> list[_Part]:
    """Explain all at once, and one by one where that fails; adds to ``errors``."""
    rows = torch.tensor([row for row, _ in requests], device=images.device)
    outputs = torch.tensor([output for _, output in requests], device=images.device)
    try:
        return [_Part(requests, explainer(images[rows], outputs))]
    except (ConfigError, ConversionError):
        raise
    except Exception as error:  # an explainer may be anybody's code, and one image must not end a night's work
        if len(requests) > 1:
            return [part for one in requests for part in _explanations(explainer, images, [one], errors)]
        errors.setdefault(requests[0][0], f"{type(error).__name__}: {error}".splitlines()[0])
        return []


def _now(images: Tensor) -> float:
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return time.perf_counter()
