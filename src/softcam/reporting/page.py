"""The report's content, ready for the template."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import softcam
from softcam.data.manifest import Manifest, Split
from softcam.metrics.curves import Curve, pr_curve, roc_curve
from softcam.model.checkpoint import ModelCard
from softcam.reporting.figures import (
    Embedded,
    calibration_figure,
    epochs_figure,
    model_colour,
    pr_figure,
    roc_figure,
    score_figure,
)
from softcam.reporting.gallery import Gallery, make_gallery
from softcam.reporting.measured import Measured, Question
from softcam.reporting.summary import (
    counted,
    decisions_sentence,
    difference_sentence,
    joined,
    locality_sentence,
    place_sentence,
    tile_facts,
)
from softcam.reporting.tables import LABELS, cells_of, decisions_table, explanations_table, scientific, settings_table

_DRAWN_SCORES = ("activation_precision", "pointing_game", "locality")
_EPOCH_COLUMNS = {
    "train_loss": "Training loss, penalties included",
    "val_loss": "Validation cross entropy",
    "val_auroc": "Validation AUROC",
}


@dataclass(frozen=True)
class Column:
    """A model as the page shows it.

    Attributes:
        name: Its name.
        colour: Its colour in all figures.
        limit: The evidence in logits that has the strongest colour.
    """

    name: str
    colour: str
    limit: str


def build_page(models: Sequence[Measured], images: Manifest, question: Question, cases: int) -> dict[str, Any]:
    """Put together all that the template asks for.

    Args:
        models: The models; the first is the reference, the last sorts the cases.
        images: The images on which all of them were measured, in the order of their predictions.
        question: The class to look at.
        cases: Cases to show of each outcome.

    Returns:
        The variables of the template.

    Raises:
        DataError: An image or annotation cannot be read.
    """
    last = models[-1].evaluation
    gallery = make_gallery(
        models,
        question.output,
        images,
        question.truth(last),
        question.probability(last),
        question.decided(last),
        per_outcome=cases,
    )
    columns = _columns(models, gallery)
    return {
        "version": softcam.__version__,
        "date": datetime.date.today().isoformat(),
        "subtitle": _subtitle(models[0], images),
        "models": columns,
        "images": len(images),
        "annotated": max(model.evaluation.annotated for model in models),
        "finding": question.name,
        "scored": question.name if len(images.classes) <= 2 else "the class of each image’s label",
        "reading": _reading(models),
        "sorted_by": columns[-1].name,
        "summary": _summary(models, images),
        "tiles": [
            {"model": column, "facts": tile_facts(model.metrics, model.scores)}
            for column, model in zip(columns, models, strict=True)
        ],
        "gallery": gallery,
        **_explanations(models),
        **_decisions(models, columns, question),
        **_training(models),
    }


def _reading(models: Sequence[Measured]) -> str:
    """How the tables are to be read."""
    intervals = "In brackets the 95% interval, from a bootstrap over patients."
    if len(models) == 1:
        return intervals
    return f"{intervals} Δ is the difference to {models[0].name}, bold where its interval leaves out zero."


def _columns(models: Sequence[Measured], gallery: Gallery) -> list[Column]:
    return [
        Column(model.name, model_colour(index), f"{limit:g}")
        for index, (model, limit) in enumerate(zip(models, gallery.limits, strict=True))
    ]


def _subtitle(model: Measured, images: Manifest) -> str:
    counts = Counter(images.classes[label] for sample in images.samples for label in sample.labels)
    classes = ", ".join(f"{counts[name]} {name}" for name in images.classes)
    evaluation = model.evaluation
    split = f"split {evaluation.split}" if evaluation.split else "all splits"
    source = evaluation.manifest or "manifest"
    return (
        f"{source}, {split}: {counted(len(images), 'image')} of {counted(len(images.patients), 'patient')} ({classes})"
    )


def _summary(models: Sequence[Measured], images: Manifest) -> dict[str, Any]:
    metrics = {model.name: model.metrics for model in models}
    differences = {model.name: model.differences for model in models[1:]}
    decisions = [
        _opening(models, images),
        decisions_sentence(metrics),
        difference_sentence(differences, models[0].name),
    ]
    places = [
        place_sentence(model.name, model.scores, cells_of(model.evaluation.map_size))
        for model in models
        if model.evaluation.map_size
    ]
    return {
        "decisions": " ".join(filter(None, decisions)),
        "places": list(filter(None, places)),
        "locality": locality_sentence({model.name: model.scores for model in models}),
    }


def _opening(models: Sequence[Measured], images: Manifest) -> str:
    count, verb = counted(len(models), "model"), "was" if len(models) == 1 else "were"
    seen = models[0].evaluation.split not in (Split.VAL, Split.TEST)
    what = "images, those of the training among them" if seen else "images that training did not learn from"
    return f"{count[0].upper()}{count[1:]} {verb} measured on {len(images):,} {what}."


def _explanations(models: Sequence[Measured]) -> dict[str, Any]:
    explained = [model for model in models if model.explainer is not None]
    drawn = []
    for name in _DRAWN_SCORES:
        scores = {model.name: model.scores.get(name) for model in models}
        if explained and any(score is not None for score in scores.values()):
            drawn.append(score_figure(LABELS[name][0], scores))
    return {
        "explanations": explanations_table(
            [model.scores for model in models],
            [model.evaluation.completeness for model in models],
            [model.evaluation.map_size for model in models],
            [model.differences for model in models],
        ),
        "score_figures": drawn,
        "explanation_notes": _notes(models),
        "completeness": _largest_error(models),
        "map_sizes": joined(list(dict.fromkeys(cells_of(model.evaluation.map_size or ()) for model in explained))),
    }


def _notes(models: Sequence[Measured]) -> list[str]:
    """What the evaluations say about the evidence, said once where all say it."""
    notes = [(model.name, note) for model in models for note in model.evaluation.notes]
    spoken = Counter(note for _, note in notes)
    shared = [note for note, count in spoken.items() if count == len(models) > 1]
    return [*shared, *(f"{name}: {note}" for name, note in notes if note not in shared)]


def _largest_error(models: Sequence[Measured]) -> str:
    errors = [model.evaluation.completeness for model in models if model.evaluation.completeness is not None]
    return scientific(max(errors)) if errors else ""


def _decisions(models: Sequence[Measured], columns: Sequence[Column], question: Question) -> dict[str, Any]:
    roc: dict[str, Curve] = {}
    pr: dict[str, Curve] = {}
    calibration = {}
    for model in models:
        truth, probability = question.truth(model.evaluation), question.probability(model.evaluation)
        roc[model.name], pr[model.name] = roc_curve(probability, truth), pr_curve(probability, truth)
        calibration[model.name] = (probability, truth)
    against = f" of {question.name} against the rest" if len(models[0].evaluation.classes) > 2 else ""
    prevalence = float(np.mean(question.truth(models[0].evaluation)))
    return {
        "decisions": decisions_table([model.metrics for model in models], [model.differences for model in models]),
        "decision_figures": [
            roc_figure(roc, f"ROC{against}"),
            pr_figure(pr, prevalence, f"Precision and recall{against}"),
            calibration_figure(calibration),
        ],
        "confusions": [_confusion(model, column, question) for model, column in zip(models, columns, strict=True)],
    }


def _confusion(model: Measured, column: Column, question: Question) -> dict[str, Any]:
    counts = np.asarray(model.evaluation.confusion)
    classes = model.evaluation.classes
    if counts.ndim == 3:
        counts, classes = counts[question.output], (f"no {question.name}", question.name)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        {"name": name, "cells": [{"count": int(n), "percent": round(70 * s)} for n, s in zip(line, share, strict=True)]}
        for name, line, share in zip(classes, counts, shares, strict=True)
    ]
    return {"model": column, "title": column.name, "classes": classes, "rows": rows}


def _training(models: Sequence[Measured]) -> dict[str, Any]:
    histories = {model.name: model.history for model in models}
    known = any(histories.values())
    return {
        "settings": settings_table([_config(model) for model in models]),
        "training_figures": [_epochs(histories, *column) for column in _EPOCH_COLUMNS.items()] if known else [],
        "provenance": _provenance(models),
    }


def _epochs(histories: Mapping[str, Sequence[Mapping[str, float]]], column: str, title: str) -> Embedded:
    values = {name: [row.get(column, float("nan")) for row in rows] for name, rows in histories.items()}
    return epochs_figure(title, values)


def _config(model: Measured) -> dict[str, Any]:
    card = model.checkpoint.card
    known: dict[str, Any] = card.training.get("config", {})
    return known or {"model": {"backbone": card.backbone, "head": card.head, "stages": card.stages}}


def _provenance(models: Sequence[Measured]) -> list[str]:
    cards = {model.name: model.checkpoint.card for model in models}
    versions = (", ".join(f"{name} {version}" for name, version in card.versions.items()) for card in cards.values())
    networks = "; ".join(f"{name}: {card.backbone}{_epoch(card)}" for name, card in cards.items())
    return [f"{networks}.", *(f"Trained with {each}." for each in dict.fromkeys(filter(None, versions)))]


def _epoch(card: ModelCard) -> str:
    return f", weights of epoch {card.metrics['epoch']}" if "epoch" in card.metrics else ""
