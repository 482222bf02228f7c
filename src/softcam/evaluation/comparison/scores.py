"""What is measured of each image. A new metric is a new entry of one of the three tables below.

:data:`LOCALIZATION` holds the map of a finding against its annotation; chance and ceiling come from the same function,
given a map that knows nothing and the annotation itself at the map's resolution. :data:`FAITHFULNESS` takes the image
apart in the order of the decision's map and asks the model again. :data:`STABILITY` asks the explainer again, about
another image or another model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn

from softcam.errors import ConfigError
from softcam.metrics.classification import Direction
from softcam.metrics.faithfulness import removal_area
from softcam.metrics.grid import patch_side
from softcam.metrics.localization import (
    activation_precision,
    activation_sensitivity,
    ceiling_map,
    chance_map,
    pointing_game,
)
from softcam.metrics.patches import topk_chance, topk_precision
from softcam.metrics.pixels import pixel_auroc, pixel_average_precision
from softcam.metrics.removal import RemovalCurves, Tracked, deletion, insertion
from softcam.metrics.robustness import max_sensitivity
from softcam.metrics.sanity import randomisation

KEPT = "_kept"
"""What the name of a curve ends with that says which share of the decisions is as before."""


@dataclass(frozen=True)
class Patches:
    """The squares that top-k precision, deletion and insertion look at.

    Attributes:
        side: In pixels.
        count: How many, from the highest down.
    """

    side: int
    count: int

    @classmethod
    def of(cls, size: tuple[int, int], count: int) -> Patches:
        """Return patches of the published side, scaled to an image of ``size``."""
        return cls(patch_side(size), count)


@dataclass(frozen=True, eq=False)
class Removal:
    """All that taking images apart needs.

    Attributes:
        images: ``(n, C, H, W)``.
        maps: Of the decisions, ``(n, H, W)``.
        baseline: What takes the place of what is removed, ``(n, C, H, W)``.
        classify: Images to probabilities.
        tracked: Which of them is followed.
        patches: What is removed at a time.
    """

    images: Tensor
    maps: Tensor
    baseline: Tensor
    classify: Callable[[Tensor], Tensor]
    tracked: Tracked
    patches: Patches

    def curves(self, take_apart: Callable[..., RemovalCurves]) -> RemovalCurves:
        """Call a function such as :func:`~softcam.metrics.removal.deletion`."""
        return take_apart(
            self.classify,
            self.images,
            self.maps,
            self.baseline,
            patch=self.patches.side,
            steps=self.patches.count,
            tracked=self.tracked,
        )


@dataclass(frozen=True, eq=False)
class Repetition:
    """All that asking an explainer again needs.

    Attributes:
        images: ``(n, C, H, W)``.
        model: Which decides.
        explain: A model and images, in the same order, to maps ``(n, H, W)`` of the decisions on ``images``; NaN where
            the explainer fails.
    """

    images: Tensor
    model: nn.Module
    explain: Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True)
class CurveOf:
    """The curve that a score sums up.

    Attributes:
        axis: What it is drawn against.
        height: What is drawn.
        first: Where it starts; one step is 1.
        area: Curves ``(n, P)`` to the score ``(n,)``.
    """

    axis: str
    height: str
    first: int
    area: Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """A score of an image's map.

    Attributes:
        title: Its name in figures and text.
        short: Its name in the head of a column.
        direction: Which way it gets better.
        curve: The curve that it sums up; None for a plain number.
        by_default: Whether it is measured where nobody has chosen.
    """

    title: str
    short: str
    direction: Direction = Direction.HIGHER
    curve: CurveOf | None = None
    by_default: bool = True

    def summed_up(self, computed: Tensor) -> Tensor:
        """Return the scores ``(n,)``."""
        return computed if self.curve is None else self.curve.area(computed)


@dataclass(frozen=True, kw_only=True)
class LocalizationScore(ImageScore):
    """A score of maps against annotations, both ``(n, H, W)``.

    Attributes:
        compute: Maps, annotations and patches to ``(n,)``, or to a curve ``(n, P)``.
        chance: Annotations and patches to what a map that knows nothing scores, ``(n,)``; by default a uniform map.
    """

    compute: Callable[[Tensor, Tensor, Patches], Tensor]
    chance: Callable[[Tensor, Patches], Tensor] | None = None

    def at_chance(self, masks: Tensor, patches: Patches) -> Tensor:
        """Return what a map that knows nothing scores, ``(n,)``."""
        if self.chance is not None:
            return self.chance(masks, patches)
        return self.summed_up(self.compute(chance_map(masks), masks, patches))

    def at_ceiling(self, masks: Tensor, map_size: tuple[int, int], patches: Patches) -> Tensor:
        """Return what the annotation itself scores, drawn in ``map_size`` cells, ``(n,)``."""
        return self.summed_up(self.compute(ceiling_map(masks, map_size), masks, patches))


@dataclass(frozen=True, kw_only=True)
class FaithfulnessScore(ImageScore):
    """A score of what a model answers when parts of the image are gone.

    Attributes:
        compute: To the curves of each image.
    """

    compute: Callable[[Removal], RemovalCurves]


@dataclass(frozen=True, kw_only=True)
class StabilityScore(ImageScore):
    """A score of what an explainer says when it is asked again.

    Attributes:
        compute: To ``(n,)``; NaN for an image that has none.
    """

    compute: Callable[[Repetition], Tensor]


def _max_sensitivity(repetition: Repetition) -> Tensor:
    return max_sensitivity(lambda images: repetition.explain(repetition.model, images), repetition.images)


def _sanity(repetition: Repetition) -> Tensor:
    """The whole model forgets at once: the last step of the cascade, at the cost of two explanations."""
    model, images = repetition.model, repetition.images
    return randomisation(repetition.explain, model, images, layers=[""]).correlations[:, 0].abs()


LOCALIZATION: Mapping[str, LocalizationScore] = MappingProxyType(
    {
        "activation_precision": LocalizationScore(
            title="Activation precision",
            short="precision",
            compute=lambda maps, masks, _: activation_precision(maps, masks),
        ),
        "activation_sensitivity": LocalizationScore(
            title="Activation sensitivity",
            short="sensitivity",
            compute=lambda maps, masks, _: activation_sensitivity(maps, masks),
        ),
        "topk_precision": LocalizationScore(
            title="Top-k precision",
            short="top-k",
            curve=CurveOf("patches looked at", "precision", 1, lambda curves: curves.mean(dim=1)),
            compute=lambda maps, masks, patches: topk_precision(maps, masks, patches.count, patches.side),
            chance=lambda masks, patches: topk_chance(masks, patches.side),
        ),
        "pointing_game": LocalizationScore(
            title="Pointing game",
            short="pointing",
            compute=lambda maps, masks, _: pointing_game(maps, masks),
        ),
        "pixel_auroc": LocalizationScore(
            title="Pixel AUROC",
            short="pixel AUROC",
            compute=lambda maps, masks, _: pixel_auroc(maps, masks),
        ),
        "pixel_average_precision": LocalizationScore(
            title="Pixel average precision",
            short="pixel AP",
            compute=lambda maps, masks, _: pixel_average_precision(maps, masks),
        ),
    }
)
"""Scores that need an annotation, by name."""

FAITHFULNESS: Mapping[str, FaithfulnessScore] = MappingProxyType(
    {
        "deletion": FaithfulnessScore(
            title="Deletion",
            short="deletion",
            direction=Direction.LOWER,
            curve=CurveOf("patches removed", "probability", 0, removal_area),
            compute=lambda removal: removal.curves(deletion),
        ),
        "insertion": FaithfulnessScore(
            title="Insertion",
            short="insertion",
            curve=CurveOf("patches inserted", "probability", 0, removal_area),
            compute=lambda removal: removal.curves(insertion),
        ),
    }
)
"""Scores that ask the model, by name."""

STABILITY: Mapping[str, StabilityScore] = MappingProxyType(
    {
        "max_sensitivity": StabilityScore(
            title="Max-sensitivity",
            short="max-sens.",
            direction=Direction.LOWER,
            by_default=False,
            compute=_max_sensitivity,
        ),
        "sanity": StabilityScore(
            title="Likeness to the map of a model with random weights",
            short="sanity",
            direction=Direction.LOWER,
            by_default=False,
            compute=_sanity,
        ),
    }
)
"""Scores that ask the explainer again, by name."""

SCORES: Mapping[str, ImageScore] = MappingProxyType({**LOCALIZATION, **FAITHFULNESS, **STABILITY})
"""All scores by name, in the order of the tables."""


def known_scores(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the scores of these names in the order of the tables; without names, those that are measured by default.

    Raises:
        ConfigError: There is none of that name, or no name at all.
    """
    if names is not None and not names:
        raise ConfigError(f"metrics is empty; choose from {', '.join(SCORES)}")
    unknown = next((name for name in names or () if name not in SCORES), None)
    if unknown is not None:
        raise ConfigError(f"metrics has {unknown!r}; choose from {', '.join(SCORES)}")
    return tuple(name for name, score in SCORES.items() if (score.by_default if names is None else name in names))
