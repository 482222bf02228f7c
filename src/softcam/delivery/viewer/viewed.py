"""A model as the viewer shows it: explains batches, and explains them again without a part of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softcam.data.images import read_image
from softcam.data.preprocessing import Preprocessing
from softcam.errors import CheckpointError, ConfigError, DataError
from softcam.explainers.evidence import self_explaining
from softcam.explainers.integrated import Baseline
from softcam.model.checkpoint import Checkpoint, ModelCard
from softcam.model.evidence import SoftCAM
from softcam.reporting.record import ImageEvidence, split_batch
from softcam.reporting.selection import Shown, common_limit

SCALE_IMAGES = 32
"""Images of a folder whose evidence sets the scale of colours."""


@dataclass(frozen=True)
class ViewedModel:
    """A model and all that is needed to show its evidence.

    Attributes:
        name: What people call it.
        model: In eval mode.
        card: Its card.
        preprocessing: What it asks of images.
        map_size: ``(h, w)`` of its evidence maps.
        limit: Logits at full colour; None where no images have set it.
    """

    name: str
    model: SoftCAM
    card: ModelCard
    preprocessing: Preprocessing
    map_size: tuple[int, int]
    limit: float | None = None

    @classmethod
    def of(cls, name: str, checkpoint: Checkpoint, limit: float | None = None) -> ViewedModel:
        """Take a model into view; a black box is converted, if that leaves its decisions as they are.

        Raises:
            ConversionError: It would not.
            CheckpointError: The card does not say how to prepare images.
        """
        try:
            preprocessing = Preprocessing.from_dict(checkpoint.card.preprocessing)
        except ConfigError as error:
            raise CheckpointError(f"the card of {name} does not say how to prepare images ({error})") from None
        example = torch.zeros(1, preprocessing.channels, *preprocessing.size)
        model = self_explaining(checkpoint.model, checkpoint.card.task, example)
        height, width = model.map_size(*preprocessing.size)
        return cls(name, model, checkpoint.card, preprocessing, (height, width), limit)

    def scaled_by(self, images: Sequence[Path]) -> ViewedModel:
        """Return the model with the scale of colours that suits a folder, if it has none yet.

        Args:
            images: Files; at most `SCALE_IMAGES`, evenly spread over them, are explained. Those that cannot be read
                are left out.
        """
        if self.limit is not None:
            return self
        maps = []
        for index in np.unique(np.linspace(0, len(images) - 1, min(SCALE_IMAGES, len(images)), dtype=int)):
            try:
                (evidence,) = self.explain([self.preprocessing(read_image(images[index]).pixels)], Shown.CONTRAST)
            except DataError:
                continue
            maps.append(evidence.shown)
        return replace(self, limit=common_limit(maps)) if maps else self

    def explain(self, inputs: Sequence[Tensor], shown: Shown = Shown.RAW) -> list[ImageEvidence]:
        """Explain images.

        Args:
            inputs: Each ``(C, H, W)``, preprocessed.
            shown: What ``shown`` of the results is to be.

        Returns:
            As many results.
        """
        weight = next(self.model.parameters())
        batch = torch.stack(list(inputs)).to(weight.device, weight.dtype)
        return split_batch(self.model.explain(batch), shown)

    def without(self, inputs: Tensor, cells: NDArray[np.bool_]) -> Tensor:
        """Remove the pixels below some cells: they become those of the blurred image (Petsiuk et al. 2018).

        Args:
            inputs: One image ``(C, H, W)``, preprocessed.
            cells: ``(h, w)`` of the evidence maps.

        Returns:
            ``(C, H, W)``.
        """
        height, width = inputs.shape[1:]
        rows = torch.arange(height) * cells.shape[0] // height
        columns = torch.arange(width) * cells.shape[1] // width
        removed = torch.from_numpy(cells)[rows[:, None], columns]
        return torch.where(removed, Baseline.BLUR.of(inputs[None])[0], inputs)
