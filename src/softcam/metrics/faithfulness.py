r"""Does the model need what the map shows? Patches are deleted, or inserted, in the order of the map.

Deletion puts a baseline in place of an image's patches, the highest of the map first: if the map is faithful, the
probability of what was predicted falls early. Insertion goes the other way, from the baseline to the image (`Petsiuk
et al. 2018 <https://arxiv.org/abs/1806.07421>`_, section 4.2; patches as in `Djoumessi & Berens
<https://arxiv.org/abs/2505.17748>`_). How patches are cut and ordered, ties included, is said in
:mod:`softcam.metrics.grid`; what may take their place, in :mod:`softcam.metrics.baselines`; which probability is
followed, in :mod:`softcam.metrics.removal`. Here it may be any number.

The cost is one forward pass per step and image, and one for where the curve starts. All images of a batch change
together, on their own device. A map may have any sign: its order counts. One that is not finite has no order, and its
image scores NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from softcam.errors import ConfigError, DataError
from softcam.metrics.grid import patch_ranks

Predict: TypeAlias = Callable[[Tensor], Tensor]
"""Images ``(n, C, H, W)`` to numbers of each, ``(n, ...)``, such as probabilities."""


def deletion_curves(
    predict: Predict,
    images: Tensor,
    maps: Tensor,
    baseline: Tensor,
    *,
    patch: int,
    steps: int,
    steps_at_once: int = 1,
) -> Tensor:
    """Ask for numbers while patches are deleted, the highest of the map first.

    Args:
        predict: Images to numbers ``(n, ...)``. It gets the N images in order, once for each step; several steps
            one after the other if ``steps_at_once`` is above 1.
        images: ``(N, C, H, W)``.
        maps: ``(N, H, W)``.
        baseline: ``(N, C, H, W)``.
        patch: Side of a patch in pixels.
        steps: Patches to delete. Once all are gone, the curves stay as they are.
        steps_at_once: Steps whose images ``predict`` gets in one call, ``steps_at_once · N`` of them. Worth raising
            where N images do not fill the device.

    Returns:
        ``(N, steps + 1, ...)``; NaN for a map that is not finite.

    Raises:
        DataError: The shapes do not fit each other.
        ConfigError: ``patch``, ``steps`` or ``steps_at_once`` is below 1.

    Example:
        >>> image = torch.tensor([[[[1.0, 4.0, 2.0, 0.0]]]])
        >>> total = lambda images: images.sum(dim=(1, 2, 3))
        >>> deletion_curves(total, image, image[:, 0], torch.zeros_like(image), patch=1, steps=3)
        tensor([[7., 3., 1., 0.]])
    """
    return _curves(predict, images, baseline, maps, _Steps(patch, steps, steps_at_once))


def insertion_curves(
    predict: Predict,
    images: Tensor,
    maps: Tensor,
    baseline: Tensor,
    *,
    patch: int,
    steps: int,
    steps_at_once: int = 1,
) -> Tensor:
    """Ask for numbers while patches are inserted into the baseline, the highest of the map first.

    Args:
        predict: As for :func:`deletion_curves`.
        images: As for :func:`deletion_curves`.
        maps: As for :func:`deletion_curves`.
        baseline: As for :func:`deletion_curves`.
        patch: As for :func:`deletion_curves`.
        steps: Patches to insert.
        steps_at_once: As for :func:`deletion_curves`.

    Returns:
        ``(N, steps + 1, ...)``; NaN for a map that is not finite.

    Raises:
        DataError: As for :func:`deletion_curves`.
        ConfigError: As for :func:`deletion_curves`.

    Example:
        >>> image = torch.tensor([[[[1.0, 4.0, 2.0, 0.0]]]])
        >>> total = lambda images: images.sum(dim=(1, 2, 3))
        >>> insertion_curves(total, image, image[:, 0], torch.zeros_like(image), patch=1, steps=3)
        tensor([[0., 4., 6., 7.]])
    """
    return _curves(predict, baseline, images, maps, _Steps(patch, steps, steps_at_once))


def removal_area(curves: Tensor) -> Tensor:
    """Return the area under curves by the trapezoidal rule, the whole way from first to last step counted as 1.

    Args:
        curves: ``(..., steps + 1)``.

    Returns:
        ``(...)``, within the range of the curve's values.

    Example:
        >>> removal_area(torch.tensor([[1.0, 0.5, 0.0], [1.0, 1.0, 1.0]]))
        tensor([0.5000, 1.0000])
    """
    return torch.trapezoid(curves, dim=-1) / (curves.shape[-1] - 1)


@dataclass(frozen=True)
class _Steps:
    """How many patches of which size change, and how many steps at once."""

    patch: int
    count: int
    at_once: int


@torch.no_grad()
def _curves(predict: Predict, start: Tensor, end: Tensor, maps: Tensor, steps: _Steps) -> Tensor:
    """Lead ``start`` to ``end``, patch by patch, and ask at each step: ``(N, steps + 1, ...)``."""
    _check(start, end, maps, steps)
    finite = maps.isfinite().flatten(1).all(dim=1)
    ordered = maps.where(finite[:, None, None], 0).to(torch.promote_types(maps.dtype, torch.float32))
    ranks, patches = patch_ranks(ordered.to(start.device), steps.patch)
    levels = torch.arange(min(steps.count, patches) + 1, device=start.device).reshape(-1, 1, 1, 1, 1)
    answers = []
    for first in range(0, len(levels), steps.at_once):
        replaced = ranks[:, None] < levels[first : first + steps.at_once]
        answers.append(_answer(predict, torch.where(replaced, end, start).flatten(0, 1)))
    flat = torch.cat(answers)
    curves = flat.reshape(len(levels), len(start), *flat.shape[1:]).transpose(0, 1)
    last = curves[:, -1:].expand(-1, steps.count + 1 - len(levels), *curves.shape[2:])
    usable = finite.to(curves.device).reshape(-1, *[1] * (curves.ndim - 1))
    return torch.cat([curves, last], dim=1).where(usable, torch.nan)


def _answer(predict: Predict, images: Tensor) -> Tensor:
    numbers = predict(images).detach().float()
    if numbers.shape[:1] != images.shape[:1]:
        raise DataError(f"predict gave {tuple(numbers.shape)} for {len(images)} images: it must give one row for each")
    return numbers


def _check(start: Tensor, end: Tensor, maps: Tensor, steps: _Steps) -> None:
    fit = start.ndim == 4 and start.shape == end.shape and maps.shape == (len(start), *start.shape[2:])
    if not fit or not len(start):
        raise DataError(
            f"images and their baseline must be (N, C, H, W) and maps (N, H, W) with N of at least 1, got "
            f"{tuple(start.shape)}, {tuple(end.shape)} and {tuple(maps.shape)}: upsample_maps brings maps to size"
        )
    if steps.count < 1 or steps.at_once < 1:
        raise ConfigError(
            f"taking images apart needs steps and steps_at_once of at least 1, got {steps.count} and {steps.at_once}"
        )
