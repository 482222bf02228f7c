"""The result of an evaluation, and how it goes to JSON and comes back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softcam.data.sample import Split
from softcam.evaluation.predict import Predictions
from softcam.metrics.bootstrap import Interval
from softcam.metrics.curves import Curve
from softcam.model.checkpoint import Head
from softcam.model.task import Task

_FORMAT = 1


@dataclass(frozen=True)
class LocalizationScore:
    """How well the evidence lies on the annotation, between what knowing nothing and knowing all would give.

    Attributes:
        score: Mean over the annotated images.
        chance: The same of a uniform map.
        ceiling: The same of the annotation itself, seen through the cells of the model's map.
    """

    score: Interval
    chance: float
    ceiling: float

    @property
    def share_of_ceiling(self) -> float:
        """The score as a share of what the map's resolution allows."""
        return self.score.estimate / self.ceiling if self.ceiling > 0 else math.nan


@dataclass(frozen=True)
class CalibrationBin:
    """The decisions whose confidence falls into one bin.

    Attributes:
        low: Lower end of the bin.
        high: Upper end of the bin.
        count: Number of decisions in it.
        confidence: Their mean confidence, NaN without any.
        accuracy: The share of them that is right, NaN without any.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model's decisions and explanations are worth on a set of images.

    All intervals come from the same bootstrap draws of patients.

    Attributes:
        backbone: The network.
        head: Black box or SoftCAM.
        classes: Names of the classes, in the order of the model.
        manifest: File name of the manifest, if it has one.
        split: What was evaluated; None for all of the manifest.
        input_size: Height and width of the network's input.
        map_size: Rows and columns of its evidence maps; None where there are none.
        metrics: Of the decisions, by the names of :data:`softcam.metrics.classification.METRICS`.
        confusion: Images by true class (rows) and decided class (columns), ``(K, K)``; for multi-label
            ``(K, 2, 2)``, one per label.
        roc: By class, each against the rest; for two classes the positive one only.
        pr: As ``roc``.
        calibration: Bins of the confidence in the decision.
        localization: By the names of :data:`softcam.evaluation.explanations.LOCALIZATION`; empty without
            annotations or evidence.
        locality: Whether cells speak of their own place (:mod:`softcam.metrics.locality`); None without evidence.
        completeness: Largest difference between evidence and logit in logits; None without evidence.
        notes: What a reader should know, in sentences.
        predictions: The numbers per image.
    """

    backbone: str
    head: Head
    classes: tuple[str, ...]
    manifest: str | None
    split: Split | None
    input_size: tuple[int, int]
    map_size: tuple[int, int] | None
    metrics: Mapping[str, Interval]
    confusion: NDArray[np.int64]
    roc: Mapping[str, Curve]
    pr: Mapping[str, Curve]
    calibration: tuple[CalibrationBin, ...]
    localization: Mapping[str, LocalizationScore]
    locality: Interval | None
    completeness: float | None
    notes: tuple[str, ...]
    predictions: Predictions

    @property
    def task(self) -> Task:
        """How logits become probabilities."""
        return self.predictions.task

    def class_names(self, indices: Sequence[int]) -> tuple[str, ...]:
        """Return the names of classes, as in ``predictions.labels``; none for a negative that has no name."""
        nameless = self.task is Task.BINARY and len(self.classes) == 1
        names = ((), self.classes) if nameless else tuple((name,) for name in self.classes)
        return tuple(name for index in indices for name in names[index])

    @property
    def annotated(self) -> int:
        """Number of images whose evidence was held against an annotation."""
        scores = self.predictions.scores.get("pointing_game")
        return 0 if scores is None else int((~np.isnan(scores)).sum())

    @property
    def summary(self) -> dict[str, Any]:
        """What JSON can hold of all but the curves, the bins and the single images."""
        long = {"predictions", "roc", "pr", "calibration"}
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in long}
        shares = {name: score.share_of_ceiling for name, score in self.localization.items()}
        counts = {"images": len(self.predictions), "patients": len(set(self.predictions.patients))}
        result: dict[str, Any] = plain(
            {"task": self.task, **counts, "annotated": self.annotated, **values, "share_of_ceiling": shares}
        )
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, for :meth:`from_dict`; a number that is not defined is None."""
        return {"format": _FORMAT, **plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """Rebuild what :meth:`to_dict` returned.

        Raises:
            ValueError: It is not an evaluation of this format; also TypeError and KeyError.
        """
        fields = dict(values)
        if fields.pop("format") != _FORMAT:
            raise ValueError("written by another version of softcam")
        optional = {
            "split": fields["split"] and Split(fields["split"]),
            "map_size": fields["map_size"] and tuple(fields["map_size"]),
            "locality": fields["locality"] and _interval(fields["locality"]),
        }
        tables = {
            "metrics": {name: _interval(each) for name, each in fields["metrics"].items()},
            "localization": {name: _localization(each) for name, each in fields["localization"].items()},
            **{kind: {name: _curve(each) for name, each in fields[kind].items()} for kind in ("roc", "pr")},
            "calibration": tuple(CalibrationBin(**_with_nan(each)) for each in fields["calibration"]),
        }
        whole = {
            "head": Head(fields["head"]),
            "classes": tuple(fields["classes"]),
            "input_size": tuple(fields["input_size"]),
            "confusion": np.array(fields["confusion"], dtype=np.int64),
            "notes": tuple(fields["notes"]),
            "predictions": _predictions(fields["predictions"]),
        }
        return cls(**{**fields, **optional, **tables, **whole})


def plain(value: Any) -> Any:
    """Turn dataclasses, arrays, tuples and mappings into what JSON can hold; NaN and infinity become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in values.items()}


def _interval(values: Mapping[str, Any]) -> Interval:
    return Interval(**_with_nan(values))


def _localization(values: Mapping[str, Any]) -> LocalizationScore:
    return LocalizationScore(**_with_nan({**values, "score": _interval(values["score"])}))


def _curve(values: Mapping[str, Any]) -> Curve:
    return Curve(**_with_nan({**values, "x": tuple(values["x"]), "y": tuple(values["y"])}))


def _predictions(values: Mapping[str, Any]) -> Predictions:
    return Predictions(
        task=Task(values["task"]),
        images=tuple(values["images"]),
        patients=tuple(values["patients"]),
        targets=np.array(values["targets"], dtype=np.int64),
        logits=np.array(values["logits"], dtype=np.float64),
        probabilities=np.array(values["probabilities"], dtype=np.float64),
        scores={name: np.array(column, dtype=np.float64) for name, column in values["scores"].items()},
    )
