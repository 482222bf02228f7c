"""All explainers over all images: the work, streamed, kept as it is done, and continued where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from softcam.data.dataset import ManifestDataset
from softcam.data.transforms import test_transform
from softcam.errors import ConversionError
from softcam.evaluation.comparison.explaining import BatchMaps, explain_batch
from softcam.evaluation.comparison.gallery import MapFolder, safe_name
from softcam.evaluation.comparison.measuring import measure
from softcam.evaluation.comparison.plan import Contender, Plan
from softcam.evaluation.comparison.records import Record, RecordFile
from softcam.evaluation.comparison.repeating import Again
from softcam.evaluation.comparison.scores import LOCALIZATION
from softcam.evaluation.comparison.subject import Subject
from softcam.evaluation.evaluate import preprocessing_of
from softcam.evaluation.predict import Batch
from softcam.explainers import Explainer, build_explainer
from softcam.training.loaders import plain_worker_errors

RECORDS, MAPS = "records", "maps"


@dataclass(frozen=True)
class Work:
    """How the work is done; none of it changes the result, but for rounding.

    Attributes:
        batch_size: Images per batch.
        workers: Processes that load images.
        device: Where to compute.
        progress: Whether to show a bar, on a terminal.
    """

    batch_size: int = 16
    workers: int = 0
    device: str | torch.device = "cpu"
    progress: bool = True


@dataclass(frozen=True)
class Explained:
    """The numbers of all images.

    Attributes:
        records: By model and explainer; of each explainer by image.
        continued: How many of them an earlier run has left.
        notes: What could not be tried.
    """

    records: Mapping[tuple[str, str], Mapping[int, Record]]
    continued: int
    notes: tuple[str, ...]


def explain_all(plan: Plan, out: Path, work: Work = Work()) -> Explained:
    """Explain and score every image by every explainer.

    What is computed is appended to ``out/records`` at once; a second call with the same plan goes on from there and
    comes to the same numbers. A batch that was stopped halfway is explained again as a whole, so that rounding, too, is
    that of a run that was not stopped.

    Args:
        plan: What to compare.
        out: The folder.
        work: How to do it.

    Raises:
        ConfigError: A library is missing, an explainer is unknown, or ``out`` holds another comparison.
        ConversionError: An explainer that was asked for is impossible on one of the networks.
        DataError: An image cannot be read.
    """
    possible = [_explainers(contender, plan, work.device) for contender in plan.contenders]
    networks = [
        _Network(plan, contender, explainers, out, work)
        for contender, (explainers, _) in zip(plan.contenders, possible, strict=True)
    ]
    total = sum(network.total for network in networks)
    continued = total - sum(network.missing for network in networks)
    with tqdm(
        total=total, initial=continued, desc="compare", unit="map", disable=None if work.progress else True
    ) as bar:
        for network in networks:
            network.explain(bar)
    return Explained(
        {(each.name, name): each.of(name) for each in networks for name in each.explainers},
        continued,
        tuple(note for _, notes in possible for note in notes),
    )


def _explainers(contender: Contender, plan: Plan, device: str | torch.device) -> tuple[dict[str, Explainer], list[str]]:
    """Make the explainers of a network, and say which it cannot have, where they need not all be had."""
    model = contender.checkpoint.model.to(device).eval()
    made, notes = {}, []
    for name in contender.explainers:
        try:
            made[name] = _build(plan, contender, name, model)
        except ConversionError as error:
            sentence = f"{name} is impossible on {contender.name}: {error}"
            if contender.required or name == plan.settings.reference:
                raise ConversionError(sentence) from error
            notes.append(f"{sentence[0].upper()}{sentence[1:]}.")
    return made, notes


def _build(plan: Plan, contender: Contender, name: str, model: nn.Module) -> Explainer:
    return build_explainer(name, model, seed=plan.settings.seed, task=contender.card.task)


class _Network:
    """A model, its explainers, and the file of their records."""

    def __init__(
        self, plan: Plan, contender: Contender, explainers: Mapping[str, Explainer], out: Path, work: Work
    ) -> None:
        self.plan, self.contender, self.explainers, self.work = plan, contender, explainers, work
        self.name, self.model = contender.name, contender.checkpoint.model
        self.dataset = ManifestDataset(
            plan.images[self.name],
            test_transform(preprocessing_of(contender.card)),
            contender.card.task,
            annotations=any(name in LOCALIZATION for name in plan.metrics),
        )
        self.file = RecordFile(out / RECORDS / f"{safe_name(self.name)}.jsonl", plan.subject(contender))
        self.maps = MapFolder(out / MAPS)

    @property
    def total(self) -> int:
        return len(self.explainers) * len(self.dataset)

    @property
    def missing(self) -> int:
        return sum(len(self._missing(name, range(len(self.dataset)))) for name in self.explainers)

    def of(self, explainer: str) -> dict[int, Record]:
        return {image: record for (name, image), record in self.file.records.items() if name == explainer}

    def explain(self, bar: tqdm[Any]) -> None:
        """Do what is missing."""
        decided = any(name not in LOCALIZATION for name in self.plan.metrics)
        for batch in self._batches():
            subject = Subject.read(
                batch, self.model, self.contender.card.task, self.plan.settings.patches, decided=decided
            )
            for name, explainer in self.explainers.items():
                missing = self._missing(name, subject.indices)
                if missing:
                    records = self._explain(name, explainer, subject)
                    self.file.append(record for record in records if record.image in missing)
                    bar.update(len(missing))

    def _explain(self, name: str, explainer: Explainer, subject: Subject) -> list[Record]:
        answer = explain_batch(explainer, subject.images, subject.requests, self.work.batch_size)
        self._keep_maps(name, answer, subject)
        again = Again(explainer, self.model, partial(_build, self.plan, self.contender, name), self.work.batch_size)
        return measure(name, answer, subject, self.plan.metrics, self.plan.settings.protocol, again)

    def _keep_maps(self, name: str, answer: BatchMaps, subject: Subject) -> None:
        for row, index in enumerate(subject.indices):
            if index in self.plan.gallery and row not in answer.errors:
                if row in subject.findings:
                    self.maps.save(self.name, name, index, subject.finding_map(answer, row))
                elif subject.decisions is not None:
                    self.maps.save(self.name, name, index, subject.decision_map(answer, row))

    def _batches(self) -> Iterator[Batch]:
        """Read the batches in which something is missing; which images make a batch is always the same."""
        generator = torch.Generator().manual_seed(self.plan.settings.seed)
        order, size = torch.randperm(len(self.dataset), generator=generator).tolist(), self.work.batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        wanted = [batch for batch in batches if any(self._missing(name, batch) for name in self.explainers)]
        loader = DataLoader(self.dataset, batch_sampler=wanted, num_workers=self.work.workers)
        with plain_worker_errors():
            for batch in loader:
                yield {name: value.to(self.work.device) for name, value in batch.items()}

    def _missing(self, explainer: str, images: Sequence[int]) -> list[int]:
        return [image for image in images if (explainer, image) not in self.file.records]
