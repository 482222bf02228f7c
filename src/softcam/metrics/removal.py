"""The decision while patches are deleted from an image or inserted into its baseline, and the area under its curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from softcam.errors import DataError
from softcam.metrics.baselines import blurred_baseline
from softcam.metrics.faithfulness import Predict, deletion_curves, insertion_curves, removal_area
from softcam.metrics.grid import patch_side
from softcam.metrics.streaming import ScoreMean

_PUBLISHED_STEPS = 30


class Tracked(StrEnum):
    """Which class's probability is followed while an image is taken apart.

    Attributes:
        PREDICTED: The one that was predicted for the whole image.
        TOP: At each step the most probable one, whichever it is, as in the authors' public code. When the decision
            tips, that probability rises again: a map that finds what the decision rests on may be punished for it.
    """

    PREDICTED = "predicted"
    TOP = "top"


@dataclass(frozen=True, eq=False)
class RemovalCurves:
    """What happens to the decisions while patches are deleted or inserted.

    Attributes:
        probability: ``(N, steps + 1)`` in [0, 1], of the class that is followed; NaN for a map that is not finite.
        predicted: ``(N, steps + 1)``, 1 where the class predicted for the whole image is the most probable, else 0; its
            mean over images is the share still predicted as before. NaN for a map that is not finite.
    """

    probability: Tensor
    predicted: Tensor

    @property
    def area(self) -> Tensor:
        """Area under each curve of the probability, ``(N,)`` in [0, 1] (:func:`removal_area`)."""
        return removal_area(self.probability)


def deletion(
    classify: Predict,
    images: Tensor,
    maps: Tensor,
    baseline: Tensor | None = None,
    *,
    patch: int | None = None,
    steps: int = _PUBLISHED_STEPS,
    tracked: Tracked = Tracked.PREDICTED,
    steps_at_once: int = 1,
) -> RemovalCurves:
    """Delete patches in the order of the map and follow the decision.

    Args:
        classify: Images ``(n, C, H, W)`` to probabilities ``(n, K)``, or ``(n, 1)`` for the positive of two classes.
        images: ``(N, C, H, W)``.
        maps: Of the predicted class, ``(N, H, W)``.
        baseline: What takes the place of patches, ``(N, C, H, W)``; by default
            :func:`~softcam.metrics.baselines.blurred_baseline`.
        patch: Side of a patch in pixels; by default 33 px at 512 px, scaled to the shorter side.
        steps: Patches to delete. Once all are gone, the curves stay as they are.
        tracked: Which class's probability is followed.
        steps_at_once: Steps whose images ``classify`` gets in one call, ``steps_at_once · N`` of them. Worth raising
            where N images do not fill the device.

    Returns:
        The curves; the lower their area, the better.

    Raises:
        DataError: The shapes do not fit each other, or ``classify`` does not give probabilities ``(n, K)``.
        ConfigError: ``patch``, ``steps`` or ``steps_at_once`` is below 1.

    Example:
        >>> mean = lambda images: images.mean(dim=(1, 2, 3))[:, None]
        >>> image = torch.tensor([[[[1.0, 1.0, 1.0, 0.0]]]])
        >>> curves = deletion(mean, image, image[:, 0], torch.zeros_like(image), patch=1, steps=2)
        >>> curves.probability, curves.area
        (tensor([[0.7500, 0.5000, 0.2500]]), tensor([0.5000]))
    """
    baseline, side = _defaults(images, baseline, patch)
    ask = _two_sided(classify)
    probabilities = deletion_curves(ask, images, maps, baseline, patch=side, steps=steps, steps_at_once=steps_at_once)
    return _follow(probabilities, probabilities[:, 0], tracked)


def insertion(
    classify: Predict,
    images: Tensor,
    maps: Tensor,
    baseline: Tensor | None = None,
    *,
    patch: int | None = None,
    steps: int = _PUBLISHED_STEPS,
    tracked: Tracked = Tracked.PREDICTED,
    steps_at_once: int = 1,
) -> RemovalCurves:
    """Insert patches of the image into its baseline in the order of the map and follow the decision.

    Args:
        classify: As for :func:`deletion`; it is asked about the whole image as well, to know the decision.
        images: As for :func:`deletion`.
        maps: As for :func:`deletion`.
        baseline: As for :func:`deletion`.
        patch: As for :func:`deletion`.
        steps: Patches to insert.
        tracked: As for :func:`deletion`.
        steps_at_once: As for :func:`deletion`.

    Returns:
        The curves; the higher their area, the better.

    Raises:
        DataError: As for :func:`deletion`.
        ConfigError: As for :func:`deletion`.

    Example:
        >>> mean = lambda images: images.mean(dim=(1, 2, 3))[:, None]
        >>> image = torch.tensor([[[[1.0, 1.0, 1.0, 0.0]]]])
        >>> curves = insertion(mean, image, image[:, 0], torch.zeros_like(image), patch=1, steps=4)
        >>> curves.probability
        tensor([[0.0000, 0.2500, 0.5000, 0.7500, 0.7500]])
        >>> curves.predicted
        tensor([[0., 0., 0., 1., 1.]])
    """
    baseline, side = _defaults(images, baseline, patch)
    ask = _two_sided(classify)
    probabilities = insertion_curves(ask, images, maps, baseline, patch=side, steps=steps, steps_at_once=steps_at_once)
    with torch.no_grad():
        whole = ask(images)
    return _follow(probabilities, whole, tracked)


class _RemovalArea(ScoreMean):
    """Mean area under the curves of deletion or insertion."""

    _take_apart: Callable[..., RemovalCurves]

    def __init__(
        self,
        *,
        patch: int | None = None,
        steps: int = _PUBLISHED_STEPS,
        tracked: Tracked = Tracked.PREDICTED,
        steps_at_once: int = 1,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.options = {"patch": patch, "steps": steps, "tracked": tracked, "steps_at_once": steps_at_once}

    def update(self, classify: Predict, images: Tensor, maps: Tensor, baseline: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            classify: Images ``(n, C, H, W)`` to probabilities ``(n, K)``, or ``(n, 1)`` for the positive of two
                classes.
            images: ``(N, C, H, W)``.
            maps: Of the predicted class, ``(N, H, W)``.
            baseline: ``(N, C, H, W)``; by default the blurred images.
        """
        self._add(self._take_apart(classify, images, maps, baseline, **self.options).area)


class Deletion(_RemovalArea):
    """Mean area under the curves of :func:`deletion`; lower is better.

    Args:
        patch: As for :func:`deletion`.
        steps: As for :func:`deletion`.
        tracked: As for :func:`deletion`.
        steps_at_once: As for :func:`deletion`.
        **settings: Settings of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = Deletion(patch=1, steps=2)
        >>> image = torch.tensor([[[[1.0, 1.0, 1.0, 0.0]]]])
        >>> metric.update(lambda x: x.mean(dim=(1, 2, 3))[:, None], image, image[:, 0], torch.zeros_like(image))
        >>> metric.compute()
        tensor(0.5000)
    """

    higher_is_better = False
    _take_apart = staticmethod(deletion)


class Insertion(_RemovalArea):
    """Mean area under the curves of :func:`insertion`; higher is better.

    Args:
        patch: As for :func:`deletion`.
        steps: Patches to insert.
        tracked: As for :func:`deletion`.
        steps_at_once: As for :func:`deletion`.
        **settings: Settings of :class:`torchmetrics.Metric`.
    """

    _take_apart = staticmethod(insertion)


def _defaults(images: Tensor, baseline: Tensor | None, patch: int | None) -> tuple[Tensor, int]:
    if images.ndim != 4:
        raise DataError(f"images must be (N, C, H, W), got {tuple(images.shape)}")
    side = patch_side((images.shape[2], images.shape[3])) if patch is None else patch
    return blurred_baseline(images) if baseline is None else baseline, side


def _two_sided(classify: Predict) -> Predict:
    """Give the negative of two classes a probability of its own."""

    def probabilities(images: Tensor) -> Tensor:
        given = classify(images)
        if given.ndim != 2:
            raise DataError(f"classify gave {tuple(given.shape)}: it must give probabilities (n, K) of (n, C, H, W)")
        return torch.cat([1 - given, given], dim=1) if given.shape[1] == 1 else given

    return probabilities


def _follow(probabilities: Tensor, whole: Tensor, tracked: Tracked) -> RemovalCurves:
    """Read curves from probabilities ``(N, steps + 1, K)`` and those of the whole images ``(N, K)``."""
    decided = whole.argmax(dim=1)[:, None]
    predicted = (probabilities.argmax(dim=2) == decided).float().where(~probabilities[..., 0].isnan(), torch.nan)
    if tracked is Tracked.TOP:
        return RemovalCurves(probabilities.amax(dim=2), predicted)
    index = decided.unsqueeze(2).expand(-1, probabilities.shape[1], 1)
    return RemovalCurves(probabilities.gather(2, index).squeeze(2), predicted)
