"""Measure a model's decisions and explanations on a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from softcam.data.dataset import ManifestDataset
from softcam.data.manifest import Manifest, Split
from softcam.data.preprocessing import Preprocessing
from softcam.data.transforms import test_transform
from softcam.errors import CheckpointError, DataError
from softcam.evaluation.explanations import (
    CEILING,
    CHANCE,
    COMPLETENESS,
    LOCALIZATION,
    EvidenceReader,
    explaining_model,
)
from softcam.evaluation.measures import (
    LOCALITY,
    bootstrap_arrays,
    explanation_measures,
    scored_task,
    statistics,
)
from softcam.evaluation.predict import Predictions, Reader, predict
from softcam.evaluation.result import CalibrationBin, Evaluation, LocalizationScore
from softcam.metrics.bootstrap import Interval, bootstrap_table, nan_mean
from softcam.metrics.classification import CALIBRATION_BINS, METRICS, confusion_matrix, one_vs_rest
from softcam.metrics.curves import pr_curve, roc_curve
from softcam.model.checkpoint import Checkpoint, ModelCard
from softcam.model.task import Task

NO_ANNOTATIONS = "Localization is left out: no image of a finding has an annotation."


def evaluate(
    checkpoint: Checkpoint,
    manifest: Manifest,
    *,
    split: Split | None = Split.TEST,
    batch_size: int = 16,
    workers: int = 0,
    device: str | torch.device = "cpu",
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Measure a model's decisions and explanations.

    Args:
        checkpoint: The model; it is moved to ``device``.
        manifest: Images with labels, of the classes that the model knows, in any order.
        split: The part of the manifest to use; None uses all of it.
        batch_size: Images per batch.
        workers: Processes that load images.
        device: Where to compute.
        resamples: Bootstrap draws of patients behind the intervals.
        seed: Seed of the draws, and of the pairs on which locality is measured.
        progress: Whether to show a bar, on a terminal.

    Returns:
        The evaluation.

    Raises:
        DataError: The classes are not those of the model, the split is empty, or an image, its label or its
            annotation cannot be used.
        ConfigError: ``resamples`` is below 1.

    Example:
        >>> from softcam.model.checkpoint import load_checkpoint
        >>> evaluation = evaluate(load_checkpoint("runs/fundus"), Manifest.read("manifest.csv"))  # doctest: +SKIP
        >>> print(evaluation.metrics["auroc"])  # doctest: +SKIP
        0.981 [0.968, 0.991]
    """
    card = checkpoint.card
    preprocessing = preprocessing_of(card)
    images = select_images(manifest, card.classes, split)
    dataset = ManifestDataset(images, test_transform(preprocessing), card.task, annotations=_annotated(images))
    reader, map_size, notes = _reader(checkpoint, preprocessing.size, device, seed)
    predictions = predict(
        reader, dataset, batch_size=batch_size, workers=workers, device=device, seed=seed, progress=progress
    )
    intervals = _intervals(predictions, resamples, seed)
    localization = _localization(predictions.scores, intervals)
    questions = _questions(predictions, card)
    return Evaluation(
        backbone=card.backbone,
        head=card.head,
        classes=card.classes,
        manifest=manifest.path.name if manifest.path else None,
        split=split,
        input_size=preprocessing.size,
        map_size=map_size,
        metrics={name: intervals[name] for name in METRICS},
        confusion=confusion_matrix(predictions.probabilities, predictions.targets, card.task),
        roc={name: roc_curve(*question) for name, question in questions.items()},
        pr={name: pr_curve(*question) for name, question in questions.items()},
        calibration=calibration_bins(predictions),
        localization=localization,
        locality=intervals.get(LOCALITY),
        completeness=None if map_size is None else float(predictions.scores[COMPLETENESS].max()),
        notes=notes if localization or map_size is None else (*notes, NO_ANNOTATIONS),
        predictions=predictions,
    )


def select_images(manifest: Manifest, classes: tuple[str, ...], split: Split | None) -> Manifest:
    """Return the images of a split, labelled as a model numbers its classes.

    Args:
        manifest: The images.
        classes: The model's classes, in its order.
        split: The part to use; None uses all of it.

    Returns:
        A manifest of ``classes``.

    Raises:
        DataError: The manifest has other classes, the split is empty, or a file is missing.
    """
    source = str(manifest.path or "The manifest")
    if set(manifest.classes) != set(classes):
        raise DataError(
            f"{source} has the classes {', '.join(manifest.classes)}, but the model knows {', '.join(classes)}; "
            "name the manifest's classes as the model does (columns class_name and classes)"
        )
    numbers = [classes.index(name) for name in manifest.classes]
    chosen = manifest.select(split)
    if not chosen.samples:
        where = (
            f"in the split {split}; fill its column 'split', or evaluate another split or all" if split else "at all"
        )
        raise DataError(f"{source} has no image {where}")
    chosen.check_images()
    samples = [
        replace(sample, labels=tuple(sorted(numbers[label] for label in sample.labels))) for sample in chosen.samples
    ]
    return replace(chosen, samples=tuple(samples), classes=classes)


def preprocessing_of(card: ModelCard) -> Preprocessing:
    """Return what stands between an image and a model.

    Raises:
        CheckpointError: The card does not say.
    """
    if not card.preprocessing:
        raise CheckpointError(
            f"the card of this {card.backbone} has no preprocessing; write the size, channels, mean and std that "
            "it was trained with into card.json"
        )
    return Preprocessing.from_dict(card.preprocessing)


def calibration_bins(predictions: Predictions) -> tuple[CalibrationBin, ...]:
    """Sort decisions by their confidence into the bins of the calibration error.

    Args:
        predictions: Of any task; for multi-label each label of each image is a decision.

    Returns:
        One entry per bin, empty ones included.
    """
    confidence, right = _decisions(predictions)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return tuple(
        CalibrationBin(
            low=index / CALIBRATION_BINS,
            high=(index + 1) / CALIBRATION_BINS,
            count=int((bins == index).sum()),
            confidence=nan_mean(confidence[bins == index]),
            accuracy=nan_mean(right[bins == index]),
        )
        for index in range(CALIBRATION_BINS)
    )


def _decisions(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the confidence in each decision, and whether it is right."""
    probability, target = predictions.probabilities, predictions.targets
    if predictions.task is Task.MULTICLASS:
        return probability.max(axis=1), probability.argmax(axis=1) == target
    decided = probability > 0.5
    return np.where(decided, probability, 1 - probability).ravel(), (decided == (target > 0)).ravel()


def _annotated(images: Manifest) -> bool:
    return any(sample.annotations for sample in images.samples)


def _questions(predictions: Predictions, card: ModelCard) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Return scores and truth of each class against the rest; of two classes only the positive one."""
    questions = one_vs_rest(predictions.probabilities, predictions.targets, predictions.task)
    named = dict(zip(card.output_names, questions, strict=True))
    return named if scored_task(predictions) is not Task.BINARY else {card.classes[-1]: questions[-1]}


def _reader(
    checkpoint: Checkpoint, image_size: tuple[int, int], device: str | torch.device, seed: int
) -> tuple[Reader, tuple[int, int] | None, tuple[str, ...]]:
    """Return what reads the batches, the size of its evidence maps, and what is to be said about it."""
    model = checkpoint.model.to(device).eval()
    explainer, note = explaining_model(checkpoint, image_size)
    notes = (note,) if note else ()
    if explainer is None:
        return lambda batch: (model(batch["image"]), {}), None, notes
    rows, columns = explainer.map_size(*image_size)
    return EvidenceReader(explainer, (rows, columns), seed), (rows, columns), notes


def _intervals(predictions: Predictions, resamples: int, seed: int) -> dict[str, Interval]:
    measures = explanation_measures(predictions)
    compute, arrays = statistics(scored_task(predictions), measures), bootstrap_arrays(predictions, measures)
    return bootstrap_table(compute, arrays, predictions.patients, resamples=resamples, seed=seed)


def _localization(
    scores: Mapping[str, NDArray[Any]], intervals: Mapping[str, Interval]
) -> dict[str, LocalizationScore]:
    return {
        name: LocalizationScore(intervals[name], nan_mean(scores[name + CHANCE]), nan_mean(scores[name + CEILING]))
        for name in LOCALIZATION
        if name in intervals
    }
