"""Where a model's evidence lies over a whole data set: its part in each region, and its mean map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from softcam.data.preprocessing import Preprocessing
from softcam.evaluation.audit.regions import BORDER, CORNERS, OUTSIDE, Roi, border_mask, corner_mask, find_roi
from softcam.evaluation.predict import Batch
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task

TOTAL, AREA, POSITIVE_OUTSIDE = "total", "outside_area", "positive_outside"


@dataclass(frozen=True, eq=False)
class MeanMap:
    """The mean evidence for a class, in logits.

    Attributes:
        class_name: The class.
        present: Mean contrast over the images of the class, ``(h, w)``.
        absent: Mean contrast over the other images, ``(h, w)``.
    """

    class_name: str
    present: NDArray[np.float64]
    absent: NDArray[np.float64]

    @property
    def difference(self) -> NDArray[np.float64]:
        """What separates the classes, place by place; its mean is the difference of the mean logits."""
        return self.present - self.absent


def score_name(region: str, class_name: str) -> str:
    """How `AuditReader` calls the evidence for a class in a region."""
    return f"{region}: {class_name}"


class AuditReader:
    """Reads batches for :func:`~softcam.evaluation.predict.predict` and adds up where the evidence is.

    Logits are means of maps, so a region's part of a logit is the mean of the map times the share of each cell
    that the region covers, and the parts of regions that tile the image add up to the logit (less the bias).

    Args:
        model: In eval mode.
        preprocessing: What made the images.
        questions: Class name and output of each class to look at.
        roi: How the region of interest is found.
    """

    def __init__(
        self, model: SoftCAM, preprocessing: Preprocessing, questions: Sequence[tuple[str, int]], roi: Roi
    ) -> None:
        self.model, self.preprocessing, self.questions, self.roi = model, preprocessing, tuple(questions), roi
        height, width = preprocessing.size
        fixed = {name: corner_mask(name, height, width) for name in CORNERS}
        fixed[BORDER] = border_mask(height, width)
        self._fixed = {name: torch.from_numpy(mask).float() for name, mask in fixed.items()}
        self.areas = {name: float(mask.mean()) for name, mask in self._fixed.items()}
        self._sums: dict[tuple[str, bool], Tensor] = {}
        self._counts: dict[tuple[str, bool], int] = {}

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits ``(n, K)``, and for each region and class its part of the logit, ``(n,)``."""
        evidence = self.model.explain(batch["image"])
        contrast = evidence.contrast().float()
        size = (contrast.shape[-2], contrast.shape[-1])
        covers = {name: _cells(mask.to(contrast.device)[None], size) for name, mask in self._fixed.items()}
        outside = self._outside(batch)
        numbers = {} if outside is None else {AREA: outside.mean(dim=(1, 2))}
        if outside is not None:
            covers[OUTSIDE] = _cells(outside, size)
        for name, output in self.questions:
            maps = contrast[:, output]
            self._add(name, maps, _present(batch["target"], output, self.model.task))
            numbers[score_name(TOTAL, name)] = maps.mean(dim=(1, 2))
            for region, cover in covers.items():
                numbers[score_name(region, name)] = (maps * cover).mean(dim=(1, 2))
            if outside is not None:
                numbers[score_name(POSITIVE_OUTSIDE, name)] = _share(maps.clamp_min(0), covers[OUTSIDE])
        return evidence.logits, numbers

    def mean_maps(self) -> tuple[MeanMap, ...]:
        """The mean maps of what has been read, of the classes with and without images."""
        maps = []
        for name, _ in self.questions:
            if (name, True) in self._sums and (name, False) in self._sums:
                means = [self._sums[name, side] / self._counts[name, side] for side in (True, False)]
                maps.append(MeanMap(name, *(mean.cpu().numpy() for mean in means)))
        return tuple(maps)

    def _add(self, name: str, maps: Tensor, present: Tensor) -> None:
        for side in (True, False):
            chosen = maps[present == side].double()
            if len(chosen):
                self._sums[name, side] = self._sums.get((name, side), torch.zeros(())).to(maps.device) + chosen.sum(0)
                self._counts[name, side] = self._counts.get((name, side), 0) + len(chosen)

    def _outside(self, batch: Batch) -> Tensor | None:
        """What is outside the region of interest ``(n, H, W)``; NaN for images that have none."""
        images = batch["image"]
        if self.roi is Roi.NONE:
            return None
        if self.roi is Roi.MASK:
            inside: list[Tensor | None] = [mask if mask.any() else None for mask in batch["mask"]]
        else:
            pictures = self.preprocessing.denormalize(images).clamp(0, 1).cpu()
            found = [find_roi(_as_stored(picture), self.roi) for picture in pictures]
            inside = [None if mask is None else torch.from_numpy(mask) for mask in found]
        blank = torch.full(images.shape[-2:], torch.nan)
        return torch.stack([blank if mask is None else (~mask).float().cpu() for mask in inside]).to(images.device)


def _as_stored(picture: Tensor) -> Tensor:
    """One channel of three equal ones: a grey image that a network reads in colour."""
    grey = len(picture) == 3 and torch.allclose(picture[0], picture[2], atol=1e-3)
    return picture[:1] if grey else picture


def _cells(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Share of each cell that masks ``(n, H, W)`` cover, ``(n, h, w)``."""
    return F.adaptive_avg_pool2d(masks[:, None], size)[:, 0]


def _share(positive: Tensor, cover: Tensor) -> Tensor:
    """Share of positive evidence that is covered, ``(n,)``; NaN without any."""
    total = positive.sum(dim=(1, 2))
    return (positive * cover).sum(dim=(1, 2)) / total.where(total > 0, torch.nan)


def _present(targets: Tensor, output: int, task: Task) -> Tensor:
    return targets == output if task is Task.MULTICLASS else targets[:, output] > 0
