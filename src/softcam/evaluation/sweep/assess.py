"""What one run of a sweep is worth on a part of the images, measured once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softcam.data.dataset import ManifestDataset
from softcam.data.manifest import Manifest, Split
from softcam.data.transforms import test_transform
from softcam.errors import CheckpointError
from softcam.evaluation.evaluate import evaluate, preprocessing_of, select_images
from softcam.evaluation.predict import Batch, predict
from softcam.evaluation.result import Evaluation
from softcam.evaluation.write import EVALUATION_FILE, read_evaluation, write_evaluation
from softcam.metrics.sparsity import hoyer_sparsity
from softcam.model.checkpoint import Checkpoint, load_checkpoint
from softcam.model.evidence import SoftCAM

SPARSITY = "sparsity"
"""Name under which the sparsity of each image's evidence is kept among the scores of its predictions."""


@dataclass(frozen=True)
class Assessor:
    """Measures runs, always in the same way.

    Attributes:
        manifest: The images.
        batch_size: Images per batch.
        workers: Processes that load images.
        device: Where to compute.
        resamples: Bootstrap draws behind the intervals.
        progress: Whether to show bars, on a terminal.
    """

    manifest: Manifest
    batch_size: int = 16
    workers: int = 0
    device: str | torch.device = "cpu"
    resamples: int = 1000
    progress: bool = True

    def __call__(self, run: Path, split: Split) -> Evaluation:
        """Evaluate a run on one split, or read what an earlier call has found in ``RUN/evaluation/SPLIT``.

        Its predictions have one score more than those of :func:`evaluate`, the sparsity of the evidence.
        """
        folder = run / "evaluation" / split
        if (folder / EVALUATION_FILE).is_file():
            found = read_evaluation(folder)
            if SPARSITY in found.predictions.scores:
                return found
        checkpoint = load_checkpoint(run, device=self.device)
        measured = evaluate(
            checkpoint,
            self.manifest,
            split=split,
            batch_size=self.batch_size,
            workers=self.workers,
            device=self.device,
            resamples=self.resamples,
            progress=self.progress,
        )
        predictions = measured.predictions
        scores = {**predictions.scores, **self._sparsity(checkpoint, split)}
        measured = replace(measured, predictions=replace(predictions, scores=scores))
        write_evaluation(measured, folder)
        return measured

    def _sparsity(self, checkpoint: Checkpoint, split: Split) -> Mapping[str, NDArray[np.float64]]:
        """Return the sparsity of each image's contrast without its bias, the mean over the classes."""
        model, card = checkpoint.model, checkpoint.card
        if not isinstance(model, SoftCAM):
            raise CheckpointError(f"this {card.backbone} has no evidence whose sparsity could be measured")

        def read(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            evidence = model.explain(batch["image"])
            return evidence.logits, {SPARSITY: hoyer_sparsity(evidence.contrast()).nanmean(dim=1)}

        images = select_images(self.manifest, card.classes, split)
        dataset = ManifestDataset(images, test_transform(preprocessing_of(card)), card.task)
        return predict(
            read,
            dataset,
            batch_size=self.batch_size,
            workers=self.workers,
            device=self.device,
            progress=self.progress,
        ).scores
