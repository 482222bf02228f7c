"""Where a model's evidence lies, in numbers per image.

What is scored is the contrast of the evidence without its bias (:meth:`softcam.model.evidence.Evidence.contrast`),
because it alone is what the probabilities see, bilinearly brought to the size of the network's input, against the
annotation at that size. Which class's map it is follows from the image's label:

- two classes (one output or two): the positive class; images of the negative class are not scored;
- more classes, of which one is right: the class of the label;
- multi-label: the highest evidence for any of the image's labels, since an annotation does not say which of them
  it belongs to; images without labels are not scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from softcam.errors import ConversionError
from softcam.evaluation.predict import Batch
from softcam.metrics.locality import locality_terms
from softcam.metrics.localization import (
    activation_precision,
    activation_sensitivity,
    ceiling_map,
    chance_map,
    pointing_game,
    upsample_maps,
)
from softcam.model.checkpoint import Checkpoint
from softcam.model.convert import convert
from softcam.model.evidence import Evidence, SoftCAM
from softcam.model.task import Task

LOCALIZATION: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "activation_precision": activation_precision,
        "activation_sensitivity": activation_sensitivity,
        "pointing_game": pointing_game,
    }
)
"""Scores of maps ``(n, H, W)`` against masks ``(n, H, W)``, by name."""

CHANCE, CEILING = "_chance", "_ceiling"
RESIDUAL, REFERENCE = "locality_residual", "locality_reference"
COMPLETENESS, PEAK = "completeness_error", "peak_evidence"


def explaining_model(checkpoint: Checkpoint, image_size: tuple[int, int]) -> tuple[SoftCAM | None, str]:
    """Return the network that explains a checkpoint's decisions.

    A SoftCAM explains itself. A black box whose head is affine in the pooled features is converted, which
    leaves its logits as they are: its evidence is then its class activation map (Zhou et al. 2016, CAM) in
    logit units. For any other black box there is no map that adds up to its decision.

    Args:
        checkpoint: The model with its card.
        image_size: Height and width of the network's input.

    Returns:
        The network, or None; and a sentence that says why, empty for a SoftCAM.
    """
    model, card = checkpoint.model, checkpoint.card
    if isinstance(model, SoftCAM):
        return model, ""
    try:
        converted = convert(model, task=card.task, example=torch.zeros(1, card.in_channels, *image_size))
    except ConversionError as error:
        return None, f"Explanations are left out: {error}"
    assert converted.report is not None
    if not converted.report.exact:
        return None, f"Explanations are left out: this black box has no exact class activation map ({converted.report})"
    return converted, "The black box is explained by its class activation map, in logit units."


def label_maps(contrast: Tensor, targets: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Choose the map of each image that its annotation is held against (see the head of this module).

    Args:
        contrast: ``(n, K, h, w)``.
        targets: As :class:`~softcam.data.dataset.ManifestDataset` gives them.
        task: What they mean.

    Returns:
        Maps ``(n, h, w)``, and bool ``(n,)``: whether there is one; where there is not, the map means nothing.

    Example:
        >>> maps, scored = label_maps(torch.ones(2, 1, 4, 4), torch.tensor([[0.0], [1.0]]), Task.BINARY)
        >>> maps.shape, scored
        (torch.Size([2, 4, 4]), tensor([False,  True]))
    """
    if task is Task.MULTICLASS:
        maps = contrast[torch.arange(len(contrast), device=contrast.device), targets]
        return maps, (targets > 0) | (contrast.shape[1] > 2)
    positive = targets > 0
    return contrast.masked_fill(~positive[:, :, None, None], -torch.inf).amax(dim=1), positive.any(dim=1)


class EvidenceReader:
    """Reads batches for :func:`~softcam.evaluation.predict.predict`: logits, and what their evidence is worth.

    The numbers per image are, by name,

    - each of :data:`LOCALIZATION`, and the same with ``_chance`` (uniform map) and ``_ceiling`` (the best map of
      this resolution), where the image has an annotation and a map to hold against it;
    - ``locality_residual`` and ``locality_reference``, see :func:`softcam.metrics.locality.locality_terms`, but
      for an image that is alone in its batch;
    - ``completeness_error``, how far the evidence is from adding up to the logits;
    - ``peak_evidence``, the largest absolute contrast, in logits.

    Args:
        model: In eval mode.
        map_size: Size ``(h, w)`` of its maps.
        seed: Seed of the pairs and rectangles of the locality.
    """

    def __init__(self, model: SoftCAM, map_size: tuple[int, int], seed: int = 0) -> None:
        self.model, self.map_size, self.seed = model, map_size, seed

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits ``(n, K)`` and the numbers, ``(n,)`` each."""
        evidence = self.model.explain(batch["image"])
        if not evidence.logits.isfinite().all():
            return evidence.logits, {}
        contrast = evidence.contrast()
        return evidence.logits, {
            **self._localization(contrast, batch),
            **self._locality(contrast, batch),
            COMPLETENESS: _completeness(evidence),
            PEAK: contrast.abs().flatten(1).amax(dim=1),
        }

    def _localization(self, contrast: Tensor, batch: Batch) -> dict[str, Tensor]:
        if "mask" not in batch:
            return {}
        maps, scored = label_maps(contrast, batch["target"], self.model.task)
        scored = scored & batch["mask"].flatten(1).any(dim=1)
        blank = torch.full((len(scored),), torch.nan, device=scored.device)
        if not scored.any():
            return {name + suffix: blank for suffix in ("", CHANCE, CEILING) for name in LOCALIZATION}
        masks = batch["mask"][scored]
        compared = {
            "": upsample_maps(maps[scored].float(), (masks.shape[-2], masks.shape[-1])),
            CHANCE: chance_map(masks),
            CEILING: ceiling_map(masks, self.map_size),
        }
        return {
            name + suffix: blank.masked_scatter(scored, score(tested, masks).float())
            for suffix, tested in compared.items()
            for name, score in LOCALIZATION.items()
        }

    def _locality(self, contrast: Tensor, batch: Batch) -> dict[str, Tensor]:
        images = batch["image"]
        if len(images) < 2 or self.map_size == (1, 1):
            blank = torch.full((len(images),), torch.nan, device=images.device)
            return {RESIDUAL: blank, REFERENCE: blank}

        def contrast_of(inputs: Tensor) -> Tensor:
            return contrast if inputs is images else self.model.explain(inputs).contrast()

        residual, reference = locality_terms(contrast_of, images, seed=self.seed + int(batch["index"][0]))
        return {RESIDUAL: residual, REFERENCE: reference}


def _completeness(evidence: Evidence) -> Tensor:
    totals = evidence.maps.double().mean(dim=(2, 3)) + evidence.bias.double()
    return (totals - evidence.logits.double()).abs().amax(dim=1)
