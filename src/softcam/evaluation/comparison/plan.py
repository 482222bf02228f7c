"""What is compared with what, on which images, by which rules."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

import softcam
from softcam.data.manifest import Manifest, Split
from softcam.data.sample import Sample
from softcam.errors import ConfigError, DataError
from softcam.evaluation.comparison.decisions import Protocol
from softcam.evaluation.comparison.scores import LOCALIZATION, known_scores
from softcam.evaluation.evaluate import NO_ANNOTATIONS, select_images
from softcam.model.checkpoint import Checkpoint, ModelCard
from softcam.model.task import Task

EVIDENCE = "softcam"
"""The evidence itself; its other forms have names that begin with this."""

DEFAULT_EXPLAINERS = (
    "softcam",
    "cam",
    "gradcam",
    "gradcam++",
    "layercam",
    "guided-backprop",
    "saliency",
    "smoothgrad",
    "integrated-gradients",
    "integrated-gradients-blur",
    "random",
    "uniform",
)
"""The methods that cost at most a few hundred forward passes per image."""


@dataclass(frozen=True)
class Settings:
    """The rules of a comparison.

    Attributes:
        metrics: Names of :data:`~softcam.evaluation.comparison.scores.SCORES`; None takes the usual ones.
        split: Images to use; None takes those of all splits.
        max_images: At most so many of them, drawn at random; None takes all.
        protocol: How decisions are followed.
        patches: Patches that top-k precision looks at, and that deletion and insertion remove.
        reference: The explainer that the others are tested against.
        gallery: Images whose maps are kept for the figures.
        resamples: Bootstrap draws of patients.
        seed: Of everything that is drawn.

    Raises:
        ConfigError: A number is out of range, or a metric is unknown.
    """

    metrics: tuple[str, ...] | None = None
    split: Split | None = Split.TEST
    max_images: int | None = None
    protocol: Protocol = Protocol.DEFAULT
    patches: int = 30
    reference: str = EVIDENCE
    gallery: int = 6
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        known_scores(self.metrics)
        least = {"max_images": 1, "patches": 1, "gallery": 0, "resamples": 1}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and value < smallest:
                raise ConfigError(f"{name} is {value}; it must be at least {smallest}")


@dataclass(frozen=True)
class Contender:
    """A model with the explainers that are tried on it.

    Attributes:
        name: What tables call it.
        checkpoint: The model.
        explainers: Their names.
        required: Whether an explainer that this network cannot have is an error; else it is left out.
    """

    name: str
    checkpoint: Checkpoint
    explainers: tuple[str, ...]
    required: bool = True

    @property
    def card(self) -> ModelCard:
        """Of the model."""
        return self.checkpoint.card


@dataclass(frozen=True)
class Plan:
    """A comparison, ready to run.

    Attributes:
        contenders: The models, the black box of the second table last.
        black_box: Name of that one; None without a second table.
        images: Of each contender by name: the same images in the same order, labelled as the model numbers its classes.
        metrics: What is measured.
        settings: The rules.
        gallery: Images to keep the maps of, by their place.
        notes: What is to be said beforehand.
    """

    contenders: tuple[Contender, ...]
    black_box: str | None
    images: Mapping[str, Manifest]
    metrics: tuple[str, ...]
    settings: Settings
    gallery: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The images, with the labels of the first model."""
        return self.images[self.contenders[0].name].samples

    def subject(self, contender: Contender) -> dict[str, Any]:
        """Return what the records of a model depend on, other than the explainer."""
        images, settings = self.images[contender.name], self.settings
        return {
            "version of softcam": softcam.__version__,
            "model": _model_digest(contender.checkpoint),
            "set of images": _digest([(str(s.image), s.labels, repr(s.annotations)) for s in images.samples]),
            "set of metrics": list(self.metrics),
            "protocol": settings.protocol,
            "number of patches": settings.patches,
            "gallery": list(self.gallery),
            "seed": settings.seed,
        }


def make_plan(
    models: Sequence[tuple[str, Checkpoint]],
    manifest: Manifest,
    settings: Settings,
    *,
    explainers: Sequence[str] | None = None,
    black_box: tuple[str, Checkpoint] | None = None,
) -> Plan:
    """Decide what is compared on which images.

    Args:
        models: Names and models; every explainer is tried on each.
        manifest: The images.
        settings: The rules.
        explainers: Their names; None takes those of :data:`DEFAULT_EXPLAINERS` that a network can have.
        black_box: A separately trained network and its name, on which the explainers are tried that are no evidence.

    Raises:
        ConfigError: There is no model, a name is there twice, or the reference is not among the explainers.
        DataError: The images cannot be used, or there is nothing to measure on them.
    """
    names = tuple(explainers or DEFAULT_EXPLAINERS)
    _require_distinct([name for name, _ in (*models, *([black_box] if black_box else []))], "models")
    _require_distinct(names, "explainers")
    if not models:
        raise ConfigError("there is nothing to compare; name at least one model")
    if settings.reference not in names:
        raise ConfigError(
            f"reference is {settings.reference}, which is not among the explainers {', '.join(names)}; name one of them"
        )
    required = bool(explainers)
    contenders = [Contender(name, checkpoint, names, required) for name, checkpoint in models]
    if black_box is not None:
        post_hoc = tuple(name for name in names if not name.startswith(EVIDENCE))
        contenders.append(Contender(*black_box, post_hoc, required))
    chosen = {each.name: select_images(manifest, each.card.classes, settings.split) for each in contenders}
    first = contenders[0]
    metrics, kept, notes = _measurable(chosen[first.name], first.card, settings)
    images = {name: replace(each, samples=tuple(each.samples[i] for i in kept)) for name, each in chosen.items()}
    return Plan(
        contenders=tuple(contenders),
        black_box=black_box[0] if black_box else None,
        images=images,
        metrics=metrics,
        settings=settings,
        gallery=_gallery(images[first.name], first.card, settings),
        notes=(*notes, *_missing_classes(chosen[first.name], settings)),
    )


def shows_finding(sample: Sample, card: ModelCard) -> bool:
    """Say whether there is a map of the image that an annotation can be held against."""
    if card.task is Task.MULTILABEL or card.num_outputs > 2:
        return bool(sample.labels)
    return any(label > 0 for label in sample.labels)


def _measurable(
    images: Manifest, card: ModelCard, settings: Settings
) -> tuple[tuple[str, ...], list[int], tuple[str, ...]]:
    """Return what can be measured, on which images, and what is left out."""
    metrics, notes = known_scores(settings.metrics), tuple[str, ...]()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed)).tolist()
    annotated = [index for index in order if images.samples[index].annotations]
    annotated = [index for index in annotated if shows_finding(images.samples[index], card)]
    if not annotated and any(name in LOCALIZATION for name in metrics):
        metrics, notes = tuple(name for name in metrics if name not in LOCALIZATION), (NO_ANNOTATIONS,)
        if not metrics:
            raise DataError(f"{NO_ANNOTATIONS[:-1]}, and no other metric is asked for; add deletion or insertion")
    usable = order if any(name not in LOCALIZATION for name in metrics) else annotated
    return metrics, sorted(usable[: settings.max_images]), notes


def _gallery(images: Manifest, card: ModelCard, settings: Settings) -> tuple[int, ...]:
    """Choose images at random, those with an annotated finding first, then those with a finding."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed + 1)).tolist()

    def rank(index: int) -> int:
        sample = images.samples[index]
        return (not shows_finding(sample, card)) + (not sample.annotations)

    return tuple(sorted(sorted(order, key=rank)[: settings.gallery]))


def _missing_classes(images: Manifest, settings: Settings) -> list[str]:
    present = {label for sample in images.samples for label in sample.labels}
    where = f"the split {settings.split}" if settings.split else "the manifest"
    missing = [name for index, name in enumerate(images.classes) if index not in present]
    return [f"No image of {where} is of the class {name}." for name in missing]


def _require_distinct(names: Sequence[str], what: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(f"{name} is named twice among the {what}; give each its own name")


def _model_digest(checkpoint: Checkpoint) -> str:
    state = hashlib.sha256(checkpoint.card.to_json().encode())
    for name, value in checkpoint.model.state_dict().items():
        state.update(name.encode())
        state.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()[:16]


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
