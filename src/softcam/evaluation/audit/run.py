"""An audit: does anything but the finding tell the labels apart, and does the model look at it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from softcam.data.dataset import ManifestDataset
from softcam.data.manifest import Manifest, Split
from softcam.data.preprocessing import Preprocessing
from softcam.data.sample import Sample
from softcam.data.transforms import test_transform
from softcam.errors import ConfigError, DataError
from softcam.evaluation.audit.associations import Association, Draws, corrected_level, correlations, separations
from softcam.evaluation.audit.evidence import AREA, AuditReader, MeanMap
from softcam.evaluation.audit.places import REGIONS, Outside, Place, most_outside, places
from softcam.evaluation.audit.properties import PROPERTIES, measure_properties
from softcam.evaluation.audit.regions import CORNERS, Roi
from softcam.evaluation.audit.verdict import Finding, Level, findings
from softcam.evaluation.evaluate import preprocessing_of, select_images
from softcam.evaluation.explanations import explaining_model
from softcam.evaluation.predict import Predictions, Reader, predict
from softcam.model.checkpoint import Checkpoint, ModelCard
from softcam.model.task import Task

_WORST = 8
_FEWEST = 10  # images of either label below which nothing is asked


@dataclass(frozen=True)
class Settings:
    """How an audit is made.

    Attributes:
        split: The images that the model is examined on; None for all.
        roi: How the region of interest is found.
        resamples: Bootstrap draws of patients.
        seed: Of the draws.
        batch_size: Images per batch.
        workers: Threads and processes that read images.
    """

    split: Split | None = Split.TEST
    roi: Roi = Roi.AUTO
    resamples: int = 2000
    seed: int = 0
    batch_size: int = 16
    workers: int = 0


@dataclass(frozen=True, eq=False)
class Audit:
    """What came out.

    Attributes:
        manifest: File name of the manifest, if it has one.
        split: The images that the model was examined on; None for all.
        trained_on: Number of images that the labels were examined on: those of the training split, or, without
            one, all examined images.
        findings: The verdict, alarms first.
        associations: Of properties with labels and output; those the same in all images are left out.
        places: Where the evidence is; empty without maps.
        mean_maps: By class; empty without maps.
        worst: Images whose evidence is most outside.
        worst_maps: Their evidence, ``(h, w)`` each, in logits.
        predictions: What the model said of the examined images.
        properties: Of the examined images, ``(N,)`` by name.
        notes: What had to be left out, and why.
    """

    manifest: str | None
    split: Split | None
    trained_on: int
    findings: tuple[Finding, ...]
    associations: tuple[Association, ...]
    places: tuple[Place, ...]
    mean_maps: tuple[MeanMap, ...]
    worst: tuple[Outside, ...]
    worst_maps: tuple[NDArray[np.float32], ...]
    predictions: Predictions
    properties: dict[str, NDArray[np.float64]]
    notes: tuple[str, ...]

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """The findings that raise the alarm."""
        return tuple(finding for finding in self.findings if finding.level is Level.ALARM)


def audit(
    checkpoint: Checkpoint,
    manifest: Manifest,
    settings: Settings = Settings(),
    *,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> Audit:
    """Look for shortcuts in a data set and in a model of it.

    Args:
        checkpoint: The model; it is moved to ``device``.
        manifest: Images with labels, of the classes that the model knows.
        settings: How.
        device: Where to compute.
        progress: Whether to show bars, on a terminal.

    Returns:
        The audit.

    Raises:
        DataError: The classes are not those of the model, the split is empty, an image cannot be read, or no class
            has ten images with and ten without it.
        ConfigError: The regions of interest are to be masks and there are none.
    """
    card = checkpoint.card
    images = select_images(manifest, card.classes, settings.split)
    training = manifest.select(Split.TRAIN)
    learnt = select_images(manifest, card.classes, Split.TRAIN) if len(training) else images
    questions = _questions(card)
    usable = [question for question in questions if _enough(_truth(learnt, question[0]))]
    if not usable:
        raise DataError(f"no class has {_FEWEST} images with and {_FEWEST} without it; an audit needs both")
    if settings.roi is Roi.MASK and not any(sample.annotations for sample in images.samples):
        raise ConfigError("--roi is mask, but none of the images has an annotation; choose auto, lung, retina or none")
    measured = _properties(learnt, images, settings, progress)
    preprocessing = preprocessing_of(card)
    dataset = ManifestDataset(images, test_transform(preprocessing), card.task, annotations=settings.roi is Roi.MASK)
    predictions, reader, notes = _examine(checkpoint, dataset, preprocessing, settings, device, progress)
    associations: list[Association] = []
    for name, output in usable:
        associations += _associations(name, output, learnt, images, measured, predictions, settings, len(usable))
    found, worst = _places(usable, images, measured[1], predictions, reader, settings)
    return Audit(
        manifest=manifest.path.name if manifest.path else None,
        split=settings.split,
        trained_on=len(learnt),
        findings=findings(associations, found),
        associations=tuple(associations),
        places=tuple(found),
        mean_maps=reader.mean_maps() if reader else (),
        worst=tuple(worst),
        worst_maps=_maps(worst, dict(questions), dataset, reader, device),
        predictions=predictions,
        properties=measured[1],
        notes=notes,
    )


def _properties(
    learnt: Manifest, images: Manifest, settings: Settings, progress: bool
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """The properties of the images that were learnt from, and of those examined, each file read once."""
    paths = list(dict.fromkeys(sample.image for part in (learnt, images) for sample in part.samples))
    columns = measure_properties(paths, workers=settings.workers, progress=progress)
    place = {path: index for index, path in enumerate(paths)}

    def of(samples: Sequence[Sample]) -> dict[str, NDArray]:
        chosen = [place[sample.image] for sample in samples]
        return {name: column[chosen] for name, column in columns.items()}

    return of(learnt.samples), of(images.samples)


def _examine(
    checkpoint: Checkpoint,
    dataset: ManifestDataset,
    preprocessing: Preprocessing,
    settings: Settings,
    device: str | torch.device,
    progress: bool,
) -> tuple[Predictions, AuditReader | None, tuple[str, ...]]:
    card = checkpoint.card
    model = checkpoint.model.to(device).eval()
    explainer, note = explaining_model(checkpoint, preprocessing.size)
    reader = None if explainer is None else AuditReader(explainer, preprocessing, _questions(card), settings.roi)
    read: Reader = reader or (lambda batch: (model(batch["image"]), {}))
    predictions = predict(
        read,
        dataset,
        batch_size=settings.batch_size,
        workers=settings.workers,
        device=device,
        seed=settings.seed,
        progress=progress,
    )
    notes = [note] if note else []
    if AREA in predictions.scores and (lost := int(np.isnan(predictions.scores[AREA]).sum())):
        notes.append(f"The region of interest was not found in {lost} of {len(dataset)} images.")
    return predictions, reader, tuple(notes)


def _associations(
    name: str,
    output: int,
    learnt: Manifest,
    images: Manifest,
    measured: tuple[dict[str, NDArray], dict[str, NDArray]],
    predictions: Predictions,
    settings: Settings,
    classes: int,
) -> list[Association]:
    varying = [each for each in PROPERTIES if np.ptp(measured[0][each]) > 0]
    level = corrected_level(len(varying) * classes)
    draws = Draws(level, settings.resamples, settings.seed)
    columns = {each: measured[0][each] for each in varying}
    separated = separations(columns, _truth(learnt, name), _patients(learnt), draws)
    truth = _truth(images, name)
    followed = {}
    if _enough(truth):
        examined = {each: measured[1][each] for each in varying}
        logit = _margin(predictions.logits, output, predictions.task)
        followed = correlations(examined, dict.fromkeys(varying, logit), truth, _patients(images), draws)
    return [Association(each, name, separated[each], followed.get(each)) for each in varying]


def _places(
    questions: Sequence[tuple[str, int]],
    images: Manifest,
    properties: dict[str, NDArray],
    predictions: Predictions,
    reader: AuditReader | None,
    settings: Settings,
) -> tuple[list[Place], list[Outside]]:
    found: list[Place] = []
    worst: list[Outside] = []
    if reader is None:
        return found, worst
    marks = {corner: properties[f"marker_{corner.replace(' ', '_')}"] for corner in CORNERS}
    level = corrected_level(len(REGIONS) * len(questions))
    for name, output in questions:
        truth = _truth(images, name)
        if not _enough(truth):
            continue
        found += places(
            predictions.scores,
            reader.areas,
            name,
            truth,
            _patients(images),
            marks,
            Draws(level, settings.resamples, settings.seed),
        )
        decided = _margin(predictions.logits, output, predictions.task) > 0
        worst += most_outside(predictions.scores, name, decided, predictions.images, _WORST)
    return found, worst


def _maps(
    worst: Sequence[Outside],
    outputs: Mapping[str, int],
    dataset: ManifestDataset,
    reader: AuditReader | None,
    device: str | torch.device,
) -> tuple[NDArray[np.float32], ...]:
    if reader is None:
        return ()
    with torch.inference_mode():
        images = (dataset[each.index]["image"][None].to(device) for each in worst)
        contrasts = [reader.model.explain(image).contrast()[0].float().cpu().numpy() for image in images]
    return tuple(contrast[outputs[each.class_name]] for contrast, each in zip(contrasts, worst, strict=True))


def _questions(card: ModelCard) -> list[tuple[str, int]]:
    """Class and output of each question to ask: one where there are two classes."""
    names = card.output_names
    asked = [(name, index) for index, name in enumerate(names)]
    return asked[-1:] if len(card.classes) <= 2 else asked


def _truth(images: Manifest, name: str) -> NDArray[np.bool_]:
    index = images.classes.index(name)
    return np.array([index in sample.labels for sample in images.samples])


def _patients(images: Manifest) -> tuple[str, ...]:
    return tuple(sample.patient for sample in images.samples)


def _enough(truth: NDArray) -> bool:
    return bool(min(truth.sum(), (~truth).sum()) >= _FEWEST)


def _margin(logits: NDArray, output: int, task: Task) -> NDArray:
    """The logit of a class against the best other one, or against none where answers are yes and no."""
    if task is not Task.MULTICLASS:
        return np.asarray(logits[:, output])
    return np.asarray(logits[:, output] - np.delete(logits, output, axis=1).max(axis=1))
