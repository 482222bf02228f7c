from __future__ import annotations

from softcam.evaluation.audit.associations import Association
from softcam.evaluation.audit.places import Place
from softcam.evaluation.audit.verdict import Level, certainty, findings
from softcam.metrics.bootstrap import Interval


def interval(estimate: float, low: float, high: float) -> Interval:
    return Interval(estimate, low, high, 0.95, 100, 0)


def test_what_no_disease_changes_is_an_alarm_where_it_surely_tells_the_label() -> None:
    sure, unsure, other_way = interval(0.8, 0.66, 0.9), interval(0.8, 0.64, 0.9), interval(0.2, 0.1, 0.34)
    assert findings([Association("grain", "sick", unsure)], []) == ()
    for separation in (sure, other_way):
        (finding,) = findings([Association("grain", "sick", separation)], [])
        assert (finding.level, finding.about, finding.class_name) == (Level.ALARM, "grain", "sick")
    assert finding.sentence == "From the grain of the margin alone, sick is told with AUROC 0.80 [0.66, 0.90]."


def test_what_the_finding_may_cause_is_said_without_an_alarm() -> None:
    (finding,) = findings([Association("file_size", "sick", interval(0.95, 0.9, 0.99), interval(0.5, 0.3, 0.7))], [])
    assert finding.level is Level.NOTE
    assert finding.sentence == (
        "From the file size alone, sick is told with AUROC 0.95 [0.90, 0.99], which the finding itself may cause, and "
        "the model follows it among images of the same label (rank correlation +0.50)."
    )


def test_a_corner_needs_three_times_its_area_and_a_tenth_of_all() -> None:
    def level_of(area: float, low: float) -> list[Level]:
        place = Place("upper right", "sick", area, interval(low + 0.1, low, low + 0.2))
        return [finding.level for finding in findings([], [place])]

    assert level_of(0.04, 0.13) == [Level.ALARM]
    assert level_of(0.04, 0.11) == []
    assert level_of(0.01, 0.09) == []
    assert level_of(0.2, 0.61) == [Level.ALARM]


def test_evidence_outside_is_a_note_where_it_is_no_less_than_everywhere() -> None:
    inside = Place("outside", "sick", 0.8, interval(0.7, 0.6, 0.79))
    outside = Place("outside", "sick", 0.8, interval(0.9, 0.85, 0.95))
    assert findings([], [inside]) == ()
    (finding,) = findings([], [outside])
    assert finding.level is Level.NOTE
    assert finding.sentence == (
        "In images of sick, 90% [85%, 95%] of the positive evidence lies outside the region of interest, which is 80% "
        "of the image."
    )


def test_alarms_come_first_and_missing_numbers_say_nothing() -> None:
    nothing = interval(float("nan"), float("nan"), float("nan"))
    told = findings(
        [Association("file_size", "sick", interval(0.99, 0.98, 1)), Association("grain", "sick", nothing)],
        [Place("border", "sick", 0.2, interval(0.9, 0.8, 1)), Place("lower left", "sick", 0.04, nothing)],
    )
    assert [(each.level, each.about) for each in told] == [(Level.ALARM, "border"), (Level.NOTE, "file_size")]
    assert certainty(interval(0.5, 0.4, 0.6)) == 0.4
