"""Runs as a report compares them: loaded, measured on the same images, told apart by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from softcam.data.manifest import Manifest
from softcam.errors import ConfigError
from softcam.evaluation.compare import compare
from softcam.evaluation.explanations import explaining_model
from softcam.evaluation.result import Evaluation
from softcam.metrics.bootstrap import Interval, PairedDifference
from softcam.model.checkpoint import Checkpoint
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task
from softcam.reporting.figures import Score
from softcam.training.config import Monitor
from softcam.training.history import History, Row
from softcam.training.state import RunFolder


@dataclass(frozen=True)
class NamedRun:
    """A run to report on.

    Attributes:
        name: As the report calls it.
        path: Its folder, or that of a model.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Measured:
    """A model with what came out of its evaluation.

    Attributes:
        name: As the report calls it.
        checkpoint: The model.
        explainer: The network that gives the evidence, of a black box its exact conversion; None without one.
        evaluation: What it is worth.
        differences: To the first model of the report, by metric; empty for the first itself.
        history: The epochs of its training, where they are known.
    """

    name: str
    checkpoint: Checkpoint
    explainer: SoftCAM | None
    evaluation: Evaluation
    differences: Mapping[str, PairedDifference] = field(default_factory=dict)
    history: tuple[Row, ...] = ()

    @property
    def metrics(self) -> Mapping[str, Interval]:
        """Scores of the decisions."""
        return self.evaluation.metrics

    @property
    def scores(self) -> dict[str, Score]:
        """Scores of the evidence; those that could not be measured are left out."""
        scores = {
            name: Score(each.score, each.chance, each.ceiling) for name, each in self.evaluation.localization.items()
        }
        locality = self.evaluation.locality
        return scores if locality is None else {**scores, "locality": Score(locality)}


def measured_runs(
    runs: Sequence[NamedRun], checkpoints: Sequence[Checkpoint], evaluations: Sequence[Evaluation]
) -> list[Measured]:
    """Put together what a report needs of each run.

    Args:
        runs: The runs; the first is the reference of all differences.
        checkpoints: Their models.
        evaluations: What they are worth, all on the same images.

    Raises:
        ConfigError: Two runs have the same name.
        DataError: The evaluations are not of the same images and classes.
    """
    twice = [name for name, count in Counter(run.name for run in runs).items() if count > 1]
    if twice:
        raise ConfigError(f"two runs are called {twice[0]!r}; give each its own name with --names")
    models: list[Measured] = []
    for run, checkpoint, evaluation in zip(runs, checkpoints, evaluations, strict=True):
        explainer, _ = explaining_model(checkpoint, evaluation.input_size)
        differences = compare(evaluation, evaluations[0]).differences if models else {}
        models.append(Measured(run.name, checkpoint, explainer, evaluation, differences, read_history(run.path)))
    return models


def read_history(path: Path) -> tuple[Row, ...]:
    """Read the epochs of a run; none where its folder holds no table of them."""
    table = RunFolder(path).metrics
    return History.read(table, Monitor.LOSS).rows if table.is_file() else ()


@dataclass(frozen=True)
class Question:
    """The class that a report looks at, asked of every image as yes or no.

    Attributes:
        name: Name of the class.
        output: Its place among the outputs.
    """

    name: str
    output: int

    @classmethod
    def of(cls, model: Measured, images: Manifest, name: str | None = None) -> Question:
        """Choose the class.

        Args:
            model: One of the models.
            images: The images.
            name: The class; by default the second of two, else the one with the most annotated images.

        Raises:
            ConfigError: The model does not know it.
        """
        names = model.checkpoint.card.output_names
        if name is not None and name not in names:
            raise ConfigError(f"class is {name!r}, which the models do not know; choose one of {', '.join(names)}")
        name = name or _most_annotated(names, images)
        return cls(name, names.index(name))

    def truth(self, evaluation: Evaluation) -> NDArray[np.bool_]:
        """Return whether the class is there, ``(N,)``."""
        targets = evaluation.predictions.targets
        if evaluation.task is Task.MULTICLASS:
            return np.asarray(targets == self.output)
        return np.asarray(targets.reshape(len(targets), -1)[:, self.output] > 0)

    def probability(self, evaluation: Evaluation) -> NDArray[np.float64]:
        """Return the probability of the class, ``(N,)``."""
        return evaluation.predictions.probabilities[:, self.output]

    def decided(self, evaluation: Evaluation) -> NDArray[np.bool_]:
        """Return whether the model decides for the class, ``(N,)``."""
        if evaluation.task is Task.MULTICLASS:
            return np.asarray(evaluation.predictions.probabilities.argmax(axis=1) == self.output)
        return np.asarray(self.probability(evaluation) > 0.5)


def _most_annotated(names: Sequence[str], images: Manifest) -> str:
    annotated = Counter(
        images.classes[label] for sample in images.samples if sample.annotations for label in sample.labels
    )
    if len(names) <= 2 or not any(annotated[name] for name in names):
        return names[-1]
    return max(names, key=lambda name: annotated[name])
