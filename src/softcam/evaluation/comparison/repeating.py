"""An explainer asked again, about other images or another model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softcam.evaluation.comparison.explaining import explain_batch
from softcam.evaluation.comparison.scores import Repetition
from softcam.evaluation.comparison.subject import Subject
from softcam.explainers import Explainer


@dataclass(frozen=True, eq=False)
class Again:
    """Asks an explainer again.

    Attributes:
        explainer: Of the model.
        model: The model.
        build: Makes such an explainer for another model.
        size: Images to explain at once.
    """

    explainer: Explainer
    model: nn.Module
    build: Callable[[nn.Module], Explainer]
    size: int

    def repetition(self, subject: Subject, rows: Sequence[int]) -> Repetition:
        """Prepare to ask about the decisions on some of the images of a batch."""
        assert subject.decisions is not None
        chosen = torch.tensor(rows, device=subject.images.device)
        requests = list(enumerate(subject.decisions.outputs[chosen].tolist()))

        def explain(model: nn.Module, images: Tensor) -> Tensor:
            explainer = self.explainer if model is self.model else self.build(model)
            answer = explain_batch(explainer, images, requests, self.size)
            failed = images.new_full(images.shape[2:], torch.nan)
            return torch.stack([answer.maps.get(request, failed) for request in requests])

        return Repetition(subject.images[chosen], self.model, explain)
