"""A batch of images as all explainers of a model find it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softcam.evaluation.comparison.decisions import Decisions, Protocol, finding_outputs
from softcam.evaluation.comparison.explaining import BatchMaps, Request
from softcam.evaluation.comparison.scores import LOCALIZATION, Patches, Removal
from softcam.evaluation.predict import Batch
from softcam.model.task import Task


@dataclass(frozen=True, eq=False)
class Subject:
    """A batch, what is to be found in it, and what the model decides.

    Attributes:
        indices: The images, counted in the order of the manifest's selected images.
        images: ``(n, C, H, W)``.
        findings: Of each image that shows one, the outputs whose maps its annotation is held against.
        masks: Annotations of these, ``(len(findings), H, W)``; None where no metric asks for them.
        decisions: On all images; None where no metric asks for them.
        classify: The model, images to probabilities.
        patches: The squares that some metrics look at.
    """

    indices: tuple[int, ...]
    images: Tensor
    findings: Mapping[int, Sequence[int]]
    masks: Tensor | None
    decisions: Decisions | None
    classify: Callable[[Tensor], Tensor]
    patches: Patches
    _kept: dict[tuple[object, ...], Tensor] = field(default_factory=dict)

    @classmethod
    @torch.no_grad()
    def read(cls, batch: Batch, model: nn.Module, task: Task, patches: int, *, decided: bool) -> Subject:
        """Look at a batch.

        Args:
            batch: On the model's device; with masks if a metric asks for them.
            model: In eval mode.
            task: What its outputs mean.
            patches: How many some metrics look at.
            decided: Whether a metric asks for the decisions.
        """
        images, masks = batch["image"], batch.get("mask")
        logits = model(images)
        findings = {}
        for row, target in enumerate(batch["target"]):
            outputs = finding_outputs(target, task, logits.shape[1])
            if outputs and (masks is None or masks[row].any()):
                findings[row] = outputs
        return cls(
            indices=tuple(batch["index"].tolist()),
            images=images,
            findings={} if masks is None else findings,
            masks=None if masks is None else masks[list(findings)],
            decisions=Decisions.of(logits, task) if decided else None,
            classify=lambda inputs: task.probabilities(model(inputs)),
            patches=Patches.of((images.shape[2], images.shape[3]), patches),
        )

    @property
    def requests(self) -> list[Request]:
        """Which output of which image is to be explained, each once, in order."""
        wanted = {(row, output) for row, outputs in self.findings.items() for output in outputs}
        if self.decisions is not None:
            wanted |= set(enumerate(self.decisions.outputs.tolist()))
        return sorted(wanted)

    def finding_map(self, answer: BatchMaps, row: int) -> Tensor:
        """Return the map ``(H, W)`` that an image's annotation is held against."""
        return torch.stack([answer.maps[row, output] for output in self.findings[row]]).amax(dim=0)

    def decision_map(self, answer: BatchMaps, row: int) -> Tensor:
        """Return the map ``(H, W)`` of what the model decides of an image."""
        return self._decision_maps(answer, [row])[0]

    def removal(self, answer: BatchMaps, rows: Sequence[int], protocol: Protocol) -> Removal:
        """Return what taking some of the images apart needs.

        Args:
            answer: The maps.
            rows: The images.
            protocol: By which rules.
        """
        chosen = torch.tensor(rows, device=self.images.device)
        baseline = self._once(("baseline", protocol), lambda: protocol.baseline(self.images))
        maps = self._decision_maps(answer, rows)
        return Removal(self.images[chosen], maps, baseline[chosen], self.classify, protocol.tracked, self.patches)

    def chance(self, name: str) -> Tensor:
        """Return what a map that knows nothing scores, for each image of ``masks``."""
        return self._once((name,), lambda: LOCALIZATION[name].at_chance(self._annotations, self.patches))

    def ceiling(self, name: str, map_size: tuple[int, int]) -> Tensor:
        """Return what the annotation itself scores at a resolution, for each image of ``masks``."""
        score = LOCALIZATION[name]
        return self._once((name, map_size), lambda: score.at_ceiling(self._annotations, map_size, self.patches))

    def _decision_maps(self, answer: BatchMaps, rows: Sequence[int]) -> Tensor:
        assert self.decisions is not None
        decisions = self.decisions.subset(torch.tensor(rows, device=self.images.device))
        maps = [answer.maps[request] for request in zip(rows, decisions.outputs.tolist(), strict=True)]
        return decisions.signed(torch.stack(maps))

    @property
    def _annotations(self) -> Tensor:
        assert self.masks is not None
        return self.masks

    def _once(self, key: tuple[object, ...], compute: Callable[[], Tensor]) -> Tensor:
        """Compute what all explainers share when the first asks for it."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]
