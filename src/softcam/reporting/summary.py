"""What the tables of the report come to, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from softcam.metrics.bootstrap import Interval, PairedDifference
from softcam.reporting.figures import Score
from softcam.reporting.tables import NOT_DEFINED, number, share_of_ceiling, stands_out, times_chance

LOCAL = 0.5
"""Locality from which a map is called local: less than half of what a cell says hangs on the rest of the image."""

_SMALL_NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


def counted(count: int, noun: str) -> str:
    """Write a number of things: ``one model``, ``three models``, ``450 images``."""
    how_many = _SMALL_NUMBERS[count] if count < len(_SMALL_NUMBERS) else f"{count:,}"
    return f"{how_many} {noun}{'' if count == 1 else 's'}"


def joined(parts: Sequence[str]) -> str:
    """Join parts of a sentence: ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def decisions_sentence(metrics: Mapping[str, Mapping[str, Interval]]) -> str:
    """Say how well the models decide.

    Args:
        metrics: The metrics of each model by its name.
    """
    parts = [
        f"{name} is right on {each['accuracy'].estimate:.1%} (AUROC {number(each['auroc'].estimate)})"
        for name, each in metrics.items()
    ]
    return f"{joined(parts)}."


def difference_sentence(differences: Mapping[str, Mapping[str, PairedDifference]], reference: str) -> str:
    """Say whether any model decides better or worse than the first.

    Args:
        differences: Of each other model, by name.
        reference: Name of the first.
    """
    found = {name: each["auroc"] for name, each in differences.items() if "auroc" in each}
    clear = [
        f"{name} is {'better' if d.estimate > 0 else 'worse'} by {number(abs(d.estimate))} {bounds_of_size(d)}"
        for name, d in found.items()
        if stands_out(d)
    ]
    if not found:
        return ""
    if not clear:
        return f"The 95% interval of every difference in AUROC to {reference} includes zero."
    return f"In AUROC, compared with {reference}, {joined(clear)}."


def bounds_of_size(difference: PairedDifference) -> str:
    """Write the interval of a difference without its sign, as the size it may have."""
    low, high = sorted((abs(difference.low), abs(difference.high)))
    return f"[{number(low)}, {number(high)}]"


def place_sentence(name: str, scores: Mapping[str, Score], cells: str) -> str:
    """Say how much of a model's evidence is where the annotation is; nothing where that was not measured.

    Args:
        name: The model.
        scores: Of its evidence.
        cells: Size of its map.
    """
    if "activation_precision" not in scores:
        return ""
    precision = scores["activation_precision"]
    parts = [f"{name} puts {precision.value.estimate:.1%} of its positive evidence on the annotation"]
    times, share = times_chance(precision), share_of_ceiling(precision)
    if math.isfinite(times):
        parts.append(f"{times:.1f} times chance")
    if math.isfinite(share):
        parts.append(f"{share:.0%} of what {cells} cells allow")
    sentence = ", ".join(parts)
    pointing = scores.get("pointing_game")
    if pointing is None:
        return f"{sentence}."
    return f"{sentence}; its highest evidence lies on an annotation in {pointing.value.estimate:.0%} of the images."


def locality_sentence(scores: Mapping[str, Mapping[str, Score]]) -> str:
    """Say of which models a place may be read off the map.

    Args:
        scores: Of each model, by name.
    """
    localities = {name: each["locality"].value.estimate for name, each in scores.items() if "locality" in each}
    local = [f"{name} (locality {number(value, 2)})" for name, value in localities.items() if value >= LOCAL]
    elsewhere = [f"{name} (locality {number(value, 2)})" for name, value in localities.items() if value < LOCAL]
    parts = []
    if local:
        parts.append(f"The evidence of {joined(local)} is local: its cells speak mostly of their own place.")
    if elsewhere:
        denied = "is not" if local else "is not local"
        parts.append(
            f"The evidence of {joined(elsewhere)} {denied}: it adds up to the decision, but do not read a place off it."
        )
    return " ".join(parts)


def tile_facts(metrics: Mapping[str, Interval], scores: Mapping[str, Score]) -> list[tuple[str, str]]:
    """Return the few numbers of a model that a glance should find."""
    facts = [("AUROC", number(metrics["auroc"].estimate)), ("accuracy", number(metrics["accuracy"].estimate))]
    precision = scores.get("activation_precision")
    if precision is not None:
        times = times_chance(precision)
        facts.append(("activation precision", number(precision.value.estimate)))
        facts.append(("– times chance", f"{times:.1f}" if math.isfinite(times) else NOT_DEFINED))
    for name, label in (("pointing_game", "pointing game"), ("locality", "locality")):
        if name in scores:
            facts.append((label, number(scores[name].value.estimate, 2)))
    return facts
