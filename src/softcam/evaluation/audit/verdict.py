"""From numbers to a verdict: what raises the alarm, and why there.

All intervals of an audit hold together with 95 % confidence (Bonferroni), so what is one of thirty numbers has to
be surer than if it were asked for alone, and under random labels an audit of any size raises a false alarm in at
most one case of twenty.

- **Labels.** How an image was recorded, and what its margin looks like, no disease changes. That they go with the
  label is an alarm from an AUROC on that is surely above `CONFOUNDED` (or below 1 minus that): two of three pairs
  of images told apart with nothing of the finding in sight. Collections without a trap were measured between
  .45 and .58. What the finding may change itself, such as brightness or file size, is never an alarm, but is
  said: alone it cannot tell a trap from a symptom.
- **Evidence.** A corner or the border that holds surely more than `CONCENTRATED` times the evidence that its area
  would have, and surely more than `NOTICED` of all, is an alarm: findings are not there. Evidence outside lungs or
  retina is said where it is surely no less than everywhere else, but is no alarm: cells that are coarser than the
  organ put it there without any trap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from softcam.evaluation.audit.associations import Association
from softcam.evaluation.audit.places import Place
from softcam.evaluation.audit.properties import Kind
from softcam.evaluation.audit.regions import OUTSIDE
from softcam.metrics.bootstrap import Interval

CONFOUNDED = 0.65
"""AUROC that a property must surely exceed: two of three."""
CONCENTRATED = 3.0
"""Evidence of a corner or the border, as a multiple of what its area would have."""
NOTICED = 0.1
"""The same as a share of all evidence."""
FOLLOWED = 0.2
"""Rank correlation from which on a model's output is said to follow a property."""


class Level(StrEnum):
    """What a finding means."""

    ALARM = "alarm"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """Something that the audit has to say.

    Attributes:
        level: Whether it is an alarm.
        about: The property or region.
        class_name: The class.
        sentence: What it is, with numbers.
    """

    level: Level
    about: str
    class_name: str
    sentence: str


def findings(associations: Sequence[Association], places: Sequence[Place]) -> tuple[Finding, ...]:
    """Judge what was measured, alarms first.

    Args:
        associations: Of properties with labels and with the model's output.
        places: Of the evidence.
    """
    said = [*_about_labels(associations), *_about_evidence(places)]
    return tuple(sorted(said, key=lambda finding: finding.level is not Level.ALARM))


def certainty(separation: Interval) -> float:
    """AUROC, whichever way round, that the interval surely exceeds; .5 or less where chance is inside."""
    return max(separation.low, 1 - separation.high)


def follows(association: Association) -> bool:
    """Whether the model's output surely goes with the property among images of the same label."""
    interval = association.follows
    return interval is not None and (interval.low > 0 or interval.high < 0) and abs(interval.estimate) >= FOLLOWED


def _about_labels(associations: Sequence[Association]) -> Iterator[Finding]:
    for each in sorted(associations, key=lambda each: -certainty(each.separation)):
        sure = certainty(each.separation)
        if each.kind is not Kind.PICTURE and sure > CONFOUNDED:
            yield Finding(Level.ALARM, each.name, each.class_name, f"{_label_sentence(each)}{_model_clause(each)}.")
        elif sure > CONFOUNDED:
            yield Finding(
                Level.NOTE,
                each.name,
                each.class_name,
                f"{_label_sentence(each)}, which the finding itself may cause{_model_clause(each)}.",
            )


def _about_evidence(places: Sequence[Place]) -> Iterator[Finding]:
    for each in sorted(places, key=lambda each: -each.share.estimate):
        share = f"{each.share.estimate:.0%} [{each.share.low:.0%}, {each.share.high:.0%}]"
        told = f"of what tells {each.class_name} apart is written there, which is {each.area:.0%} of the image"
        if each.region == OUTSIDE:
            if each.share.low >= each.area:
                sentence = (
                    f"In images of {each.class_name}, {share} of the positive evidence lies outside the region of "
                    f"interest, which is {each.area:.0%} of the image."
                )
                yield Finding(Level.NOTE, OUTSIDE, each.class_name, sentence)
        elif each.share.low > max(CONCENTRATED * each.area, NOTICED):
            where = f"the {each.region}" if each.region == "border" else f"the {each.region} corner"
            yield Finding(Level.ALARM, each.region, each.class_name, f"The model looks at {where}: {share} {told}.")


def _label_sentence(each: Association) -> str:
    return f"From the {each.title} alone, {each.class_name} is told with AUROC {_two_sided(each.separation)}"


def _two_sided(separation: Interval) -> str:
    estimate, low, high = separation.estimate, separation.low, separation.high
    if estimate < 0.5:
        estimate, low, high = 1 - estimate, 1 - high, 1 - low
    return f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


def _model_clause(each: Association) -> str:
    if not follows(each) or each.follows is None:
        return ""
    return f", and the model follows it among images of the same label (rank correlation {each.follows.estimate:+.2f})"
