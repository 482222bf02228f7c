"""What an explainer's maps of a batch are worth, as records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from softcam.evaluation.comparison.decisions import Protocol
from softcam.evaluation.comparison.explaining import BatchMaps
from softcam.evaluation.comparison.records import Record
from softcam.evaluation.comparison.repeating import Again
from softcam.evaluation.comparison.scores import FAITHFULNESS, KEPT, LOCALIZATION, STABILITY, ImageScore
from softcam.evaluation.comparison.subject import Subject


@dataclass
class _Scored:
    """The numbers of one image, by the name of the score."""

    values: dict[str, float] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)
    ceiling: dict[str, float] = field(default_factory=dict)
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)


@torch.no_grad()
def measure(
    explainer: str, answer: BatchMaps, subject: Subject, metrics: Sequence[str], protocol: Protocol, again: Again
) -> list[Record]:
    """Score the maps of a batch.

    Args:
        explainer: Whose they are.
        answer: The maps.
        subject: The batch.
        metrics: What to measure.
        protocol: By which rules images are taken apart.
        again: Asks the explainer again.

    Returns:
        A record for each image, in order; that of an image without a map says why.
    """
    scored = [_Scored() for _ in subject.indices]
    explained = [row for row in range(len(scored)) if row not in answer.errors]
    _localize(scored, answer, subject, [name for name in metrics if name in LOCALIZATION])
    _take_apart(scored, explained, answer, subject, [name for name in metrics if name in FAITHFULNESS], protocol)
    _repeat(scored, explained, subject, [name for name in metrics if name in STABILITY], again)
    return [
        Record(explainer, index, error=answer.errors[row])
        if row in answer.errors
        else Record(explainer, index, answer.map_size, answer.passes, answer.seconds, **vars(scored[row]))
        for row, index in enumerate(subject.indices)
    ]


def _localize(scored: list[_Scored], answer: BatchMaps, subject: Subject, metrics: Sequence[str]) -> None:
    places = [place for place, row in enumerate(subject.findings) if row not in answer.errors]
    rows = [list(subject.findings)[place] for place in places]
    if not rows or subject.masks is None or answer.map_size is None:
        return
    maps, masks = torch.stack([subject.finding_map(answer, row) for row in rows]), subject.masks[places]
    for name in metrics:
        score = LOCALIZATION[name]
        _enter(scored, rows, name, score, score.compute(maps, masks, subject.patches))
        for row, chance in zip(rows, subject.chance(name)[places].tolist(), strict=True):
            scored[row].chance[name] = chance
        for row, ceiling in zip(rows, subject.ceiling(name, answer.map_size)[places].tolist(), strict=True):
            scored[row].ceiling[name] = ceiling


def _take_apart(
    scored: list[_Scored],
    rows: Sequence[int],
    answer: BatchMaps,
    subject: Subject,
    metrics: Sequence[str],
    protocol: Protocol,
) -> None:
    if not rows or not metrics:
        return
    removal = subject.removal(answer, rows, protocol)
    for name in metrics:
        score = FAITHFULNESS[name]
        curves = score.compute(removal)
        _enter(scored, rows, name, score, curves.probability)
        for row, kept in zip(rows, curves.predicted.tolist(), strict=True):
            scored[row].curves[name + KEPT] = tuple(kept)


def _repeat(scored: list[_Scored], rows: Sequence[int], subject: Subject, metrics: Sequence[str], again: Again) -> None:
    if not rows or not metrics:
        return
    repetition = again.repetition(subject, rows)
    for name in metrics:
        _enter(scored, rows, name, STABILITY[name], STABILITY[name].compute(repetition))


def _enter(scored: list[_Scored], rows: Sequence[int], name: str, score: ImageScore, computed: Tensor) -> None:
    for row, value in zip(rows, score.summed_up(computed).tolist(), strict=True):
        scored[row].values[name] = value
    if score.curve is not None:
        for row, curve in zip(rows, computed.tolist(), strict=True):
            scored[row].curves[name] = tuple(curve)
