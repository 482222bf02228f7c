"""Cases to look at: which ones, and each with its image and the evidence of every model."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from softcam.data.dataset import ManifestDataset
from softcam.data.images import image_size
from softcam.data.manifest import Manifest
from softcam.data.sample import Sample
from softcam.data.transforms import Preprocessing, test_transform
from softcam.evaluation.evaluate import preprocessing_of
from softcam.model.task import Task
from softcam.reporting.colours import colour
from softcam.reporting.figures import Embedded, data_uri
from softcam.reporting.measured import Measured
from softcam.reporting.overlay import blend, outline

SHOWN_PX = 288
"""Longer side of the pictures, in pixels."""

_SCALE_SHARE = 0.97  # of the cells shown lie within the scale: few strong ones must not hide all weak ones
_STRIP = 64  # colours in the bar under a model's name
_GREY = 128.0


class Outcome(StrEnum):
    """How a decision compares with the truth."""

    TRUE_POSITIVE = "true positive"
    FALSE_POSITIVE = "false positive"
    FALSE_NEGATIVE = "false negative"
    TRUE_NEGATIVE = "true negative"

    @property
    def heading(self) -> str:
        """What stands above the cases: ``True positives``."""
        return f"{self.value.capitalize()}s"


@dataclass(frozen=True)
class Opinion:
    """What one model says about one case.

    Attributes:
        picture: The evidence over the image; None for a model that gives none.
        probability: Of the class.
        total: Mean of the evidence, in logits.
    """

    picture: Embedded | None
    probability: float
    total: float


@dataclass(frozen=True)
class Case:
    """An image with what every model says about it.

    Attributes:
        name: Name of the image file.
        truth: Name of its true class, or classes.
        picture: The image, annotations outlined.
        opinions: Of the models, in order.
    """

    name: str
    truth: str
    picture: Embedded
    opinions: tuple[Opinion, ...]


@dataclass(frozen=True)
class Gallery:
    """The cases of a report.

    Attributes:
        cases: By outcome; an outcome that did not occur has none.
        counts: How many images of the data set have each outcome.
        limits: For each model the evidence in logits that has the strongest colour, one scale for all its cases.
        strip: The colours from that much against the class to that much for it, as CSS.
    """

    cases: Mapping[Outcome, tuple[Case, ...]]
    counts: Mapping[Outcome, int]
    limits: tuple[float, ...]
    strip: str


def outcomes(truth: NDArray[np.bool_], decided: NDArray[np.bool_]) -> dict[Outcome, NDArray[np.int64]]:
    """Sort images by outcome.

    Args:
        truth: ``(N,)``, whether the class is there.
        decided: ``(N,)``, whether the model says so.

    Returns:
        The indices of the images of each outcome, ascending.
    """
    return {
        Outcome.TRUE_POSITIVE: np.flatnonzero(truth & decided),
        Outcome.FALSE_POSITIVE: np.flatnonzero(~truth & decided),
        Outcome.FALSE_NEGATIVE: np.flatnonzero(truth & ~decided),
        Outcome.TRUE_NEGATIVE: np.flatnonzero(~truth & ~decided),
    }


def spread_over_ranks(members: NDArray[np.int64], probability: NDArray[np.floating], count: int) -> list[int]:
    """Choose images evenly over the ranks of their probability, the first and the last included.

    How the evidence looks has no part in it, and the same predictions give the same choice.

    Args:
        members: Indices to choose from.
        probability: ``(N,)`` of all images.
        count: How many; where there are fewer, all.

    Returns:
        Indices, the most probable first.
    """
    ranked = members[np.argsort(-probability[members], kind="stable")]
    ranks = np.linspace(0, len(ranked) - 1, count) if count > 1 else np.full(count, len(ranked) // 2)
    chosen = ranked if len(ranked) <= count else ranked[np.rint(ranks).astype(int)]
    return [int(index) for index in chosen]


def make_gallery(
    models: Sequence[Measured],
    output: int,
    images: Manifest,
    truth: NDArray[np.bool_],
    probability: NDArray[np.floating],
    decided: NDArray[np.bool_],
    *,
    per_outcome: int = 3,
) -> Gallery:
    """Choose cases by the decisions of one model and show what all say about them.

    Args:
        models: The models.
        output: The class whose evidence is shown, as a place among the outputs.
        images: The images.
        truth: ``(N,)``, whether the class is there, in the order of the images.
        probability: ``(N,)``, of the class, by the model whose decisions sort the cases.
        decided: ``(N,)``, whether that model decides for the class.
        per_outcome: Cases of each outcome.

    Raises:
        DataError: An image or annotation cannot be read.
    """
    members = outcomes(truth, decided)
    chosen = {outcome: spread_over_ranks(group, probability, per_outcome) for outcome, group in members.items()}
    samples = [images.samples[index] for group in chosen.values() for index in group]
    readings = [[_read(model, output, sample, images) for sample in samples] for model in models]
    limits = tuple(_limit([reading.contrast for reading in column]) for column in readings)
    cases = iter(
        [
            _case(sample, images, list(zip(models, opinions, limits, strict=True)))
            for sample, *opinions in zip(samples, *readings, strict=True)
        ]
    )
    return Gallery(
        cases={outcome: tuple(next(cases) for _ in group) for outcome, group in chosen.items()},
        counts={outcome: len(group) for outcome, group in members.items()},
        limits=limits,
        strip=_strip(),
    )


@dataclass(frozen=True)
class _Reading:
    """The contrast map ``(h, w)`` of the class, none where the model gives none, and its probability."""

    contrast: NDArray[np.float32] | None
    probability: float


@torch.no_grad()
def _read(model: Measured, output: int, sample: Sample, images: Manifest) -> _Reading:
    card = model.checkpoint.card
    transform = test_transform(preprocessing_of(card))
    single = ManifestDataset(replace(images, samples=(sample,)), transform, card.task)
    network = model.explainer or model.checkpoint.model
    batch = single[0]["image"][None].to(next(network.parameters()).device)
    if model.explainer is None:
        return _Reading(None, float(card.task.probabilities(network(batch))[0, output]))
    evidence = model.explainer.explain(batch)
    contrast = evidence.contrast()[0, output].float().cpu().numpy()
    return _Reading(contrast, float(evidence.probabilities[0, output]))


def _limit(maps: Sequence[NDArray[np.float32] | None]) -> float:
    """A round number that nearly all evidence stays within."""
    cells = [np.abs(each).ravel() for each in maps if each is not None]
    largest = float(np.quantile(np.concatenate(cells), _SCALE_SHARE)) if cells else 0.0
    return float(f"{largest:.1g}") if largest > 0 else 1.0


def _case(sample: Sample, images: Manifest, opinions: Sequence[tuple[Measured, _Reading, float]]) -> Case:
    pixels, mask = _shown(sample, images)
    name = sample.image.name
    marked = outline(pixels, mask) if mask.any() else pixels
    said = f"Image {name}, annotation outlined" if mask.any() else f"Image {name}, no annotation"
    return Case(
        name=name,
        truth=" and ".join(images.classes[label] for label in sample.labels) or "none of the classes",
        picture=_embedded(marked, said),
        opinions=tuple(_opinion(name, pixels, *opinion) for opinion in opinions),
    )


def _opinion(name: str, pixels: NDArray[np.uint8], model: Measured, reading: _Reading, limit: float) -> Opinion:
    contrast, probability = reading.contrast, reading.probability
    if contrast is None:
        return Opinion(None, probability, math.nan)
    alt = (
        f"Evidence of {model.name} in {name}: {contrast.max():+.1f} logits in its highest cell, "
        f"{contrast.min():+.1f} in its lowest; probability {probability:.2f}"
    )
    return Opinion(_embedded(blend(_grey(pixels), contrast, limit), alt), probability, float(contrast.mean()))


def _shown(sample: Sample, images: Manifest) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The image ``(h, w, 3)`` and its annotation ``(h, w)`` at the size of the report."""
    height, width = image_size(sample.image)
    factor = SHOWN_PX / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    plain = Preprocessing(size, 3, (0.0,) * 3, (1.0,) * 3)
    single = replace(images, samples=(sample,))
    item = ManifestDataset(single, test_transform(plain), Task.MULTILABEL, annotations=True)[0]
    pixels = (item["image"].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels), item["mask"].numpy()


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image without its colours, which are kept for the evidence."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _embedded(pixels: NDArray[np.uint8], alt: str) -> Embedded:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=90, subsampling=0)
    return Embedded(data_uri(stream.getvalue(), "image/jpeg"), alt)


def _strip() -> str:
    """The colours of the evidence scale over a middle grey, as a CSS gradient."""
    rgba = colour(np.linspace(-1, 1, _STRIP), 1.0).astype(float)
    opacity = rgba[:, 3:] / 255
    shades = np.rint(rgba[:, :3] * opacity + _GREY * (1 - opacity)).astype(int)
    return "linear-gradient(90deg," + ",".join(f"rgb({r},{g},{b})" for r, g, b in shades) + ")"
