"""What is kept of the explanation of one image: pictures, maps and numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softcam.files import atomic_path
from softcam.model.checkpoint import ModelCard
from softcam.model.evidence import Evidence
from softcam.model.task import Task
from softcam.reporting.overlay import Picture, panel, signed, to_png
from softcam.reporting.selection import ExplainOptions, Shown, decide
from softcam.reporting.sources import Source


@dataclass(frozen=True)
class ImageEvidence:
    """The evidence in one image, on the CPU.

    Attributes:
        maps: ``(K, h, w)`` without bias.
        shown: ``(K, h, w)``, the maps that are shown: those, or their contrast.
        logits: ``(K,)``.
        probabilities: ``(K,)``.
        bias: ``(K,)``.
        shown_bias: ``(K,)``, what belongs to ``shown``.
    """

    maps: NDArray[np.float32]
    shown: NDArray[np.float32]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    bias: NDArray[np.float32]
    shown_bias: NDArray[np.float32]

    @property
    def finite(self) -> bool:
        """Whether all of it are numbers."""
        return bool(np.isfinite(self.maps).all() and np.isfinite(self.logits).all())

    @property
    def totals(self) -> NDArray[np.float64]:
        """What the evidence adds to each logit, ``(K,)``: the means of the maps."""
        totals: NDArray[np.float64] = self.maps.mean(axis=(1, 2), dtype=np.float64)
        return totals

    @property
    def completeness_error(self) -> float:
        """``max |totals + bias − logits|``."""
        return float(np.abs(self.totals + self.bias - self.logits).max())


def split_batch(evidence: Evidence, shown: Shown) -> list[ImageEvidence]:
    """Take the evidence of a batch apart into that of its images."""
    cpu = Evidence(
        evidence.maps.float().cpu(), evidence.logits.float().cpu(), evidence.bias.float().cpu(), evidence.task
    )
    constant = replace(cpu, maps=cpu.bias.view(1, -1, 1, 1))
    maps, bias = (each.contrast() if shown is Shown.CONTRAST else each.maps for each in (cpu, constant))
    biases = cpu.bias.numpy(), bias.flatten().numpy()
    parts = zip(cpu.maps.numpy(), maps.numpy(), cpu.logits.numpy(), cpu.probabilities.numpy(), strict=True)
    return [ImageEvidence(*part, *biases) for part in parts]


@dataclass(frozen=True)
class Explained:
    """Where the explanation of an image is, and what the model sees in it.

    Attributes:
        image: The image file.
        record: The JSON file, which names the others.
        predicted: The classes that the model sees: one, or for a multi-label model any number.
        probability: Of the most probable class.
    """

    image: Path
    record: Path
    predicted: tuple[str, ...]
    probability: float


@dataclass(frozen=True)
class Recorder:
    """Writes what is kept of each image.

    Attributes:
        card: Of the model.
        options: What to show.
        out: Folder of the results.
        converted: Whether the model was a black box.
    """

    card: ModelCard
    options: ExplainOptions
    out: Path
    converted: bool

    def write(
        self, source: Source, picture: Picture, size: tuple[int, int], evidence: ImageEvidence, limit: float
    ) -> Explained:
        """Write ``NAME.CLASS.png`` for each class shown, ``NAME.npz``, and last ``NAME.json``, which names them.

        Args:
            source: The image.
            picture: The image as it is shown, ``(H, W, 3)``.
            size: Height and width of the image file.
            evidence: What the model sees in it.
            limit: Logits at full colour.
        """
        maps = source.result(self.out, ".npz")
        _write_maps(maps, evidence, self.card.output_names)
        overlays = {}
        for index in self.options.select(self.card, evidence.probabilities.tolist()):
            path = source.result(self.out, f".{_slugs(self.card.output_names)[index]}.png")
            to_png(panel(picture, evidence.shown[index], limit, *self._caption(evidence, index)), path)
            overlays[self.card.output_names[index]] = path.name
        numbers = self._numbers(source, size, evidence, limit)
        record = source.result(self.out, ".json")
        with atomic_path(record) as temporary:
            text = json.dumps({**numbers, "maps": maps.name, "overlays": overlays}, indent=2, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        return Explained(source.path, record, tuple(numbers["predicted"]), float(evidence.probabilities.max()))

    def _caption(self, evidence: ImageEvidence, index: int) -> tuple[str, str]:
        name = self.card.output_names[index]
        total, bias = float(evidence.shown[index].mean(dtype=np.float64)), float(evidence.shown_bias[index])
        said = f"evidence{self._over(index)} {signed(total)}, bias {signed(bias)} (logits)"
        return f"{name}: probability {evidence.probabilities[index]:.3f}", said

    def _over(self, index: int) -> str:
        """What the evidence for a class is compared with, in words."""
        if self.options.shown is Shown.RAW or self.card.task is not Task.MULTICLASS:
            return ""
        return f" over {self.card.classes[1 - index]}" if len(self.card.classes) == 2 else " over the mean class"

    def _numbers(self, source: Source, size: tuple[int, int], evidence: ImageEvidence, limit: float) -> dict[str, Any]:
        return {
            "image": str(source.path),
            "size": size,
            "predicted": decide(self.card, evidence.probabilities.tolist()),
            "probabilities": self._by_class(evidence.probabilities),
            "logits": self._by_class(evidence.logits),
            "evidence_totals": self._by_class(evidence.totals),
            "bias": self._by_class(evidence.bias),
            "completeness_error": evidence.completeness_error,
            "map_size": evidence.maps.shape[1:],
            "shown": str(self.options.shown),
            "shown_totals": self._by_class(evidence.shown.mean(axis=(1, 2), dtype=np.float64)),
            "limit": limit,
            "limit_given": self.options.limit is not None,
            "model": {
                "backbone": self.card.backbone,
                "task": str(self.card.task),
                "converted_from_black_box": self.converted,
                "preprocessing": self.card.preprocessing,
            },
        }

    def _by_class(self, values: NDArray[np.floating]) -> dict[str, float]:
        return dict(zip(self.card.output_names, values.tolist(), strict=True))


def _write_maps(path: Path, evidence: ImageEvidence, classes: Sequence[str]) -> None:
    with atomic_path(path) as temporary:
        np.savez(
            temporary,
            maps=evidence.maps,
            logits=evidence.logits,
            bias=evidence.bias,
            classes=np.array(classes, dtype=str),
        )


@cache
def _slugs(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names for use in file names; numbered where two would be the same or one empty."""
    slugs = tuple(re.sub(r"[^\w.-]+", "-", name).strip("-.") for name in names)
    if "" in slugs or len({slug.casefold() for slug in slugs}) < len(slugs):
        return tuple(f"{number}-{slug}".strip("-") for number, slug in enumerate(slugs))
    return slugs
