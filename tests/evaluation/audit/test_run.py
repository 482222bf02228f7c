from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.audit.conftest import write_set
from tests.evaluation.conftest import checkpoint, square_reader
from torch import nn

from softcam.data.manifest import Annotations, Manifest, Split
from softcam.errors import ConfigError, DataError
from softcam.evaluation.audit import Audit, Roi, Settings, audit
from softcam.evaluation.audit.write import write_audit
from softcam.model.checkpoint import Head
from softcam.model.task import Task

FAST = Settings(resamples=200, roi=Roi.NONE)


@pytest.fixture(scope="module")
def trapped(trap: Manifest) -> Audit:
    return audit(checkpoint(square_reader()), trap, FAST, progress=False)


@pytest.fixture(scope="module")
def untrapped(clean: Manifest) -> Audit:
    return audit(checkpoint(square_reader()), clean, replace(FAST, roi=Roi.MASK), progress=False)


def test_a_shortcut_is_named_by_the_labels_and_by_the_evidence(trapped: Audit) -> None:
    assert {finding.about for finding in trapped.alarms} == {"marker_upper_right", "upper right"}
    (corner,) = [place for place in trapped.places if place.region == "upper right"]
    assert corner.share.low > 0.9
    assert corner.area == pytest.approx(0.04, abs=0.01)
    assert corner.marks is not None


def test_a_clean_set_raises_no_alarm(untrapped: Audit) -> None:
    assert not untrapped.alarms
    (outside,) = [place for place in untrapped.places if place.region == "outside"]
    assert outside.share.estimate < 0.15
    assert outside.area == pytest.approx(1 - (20 / 96) ** 2, abs=0.01)
    assert untrapped.notes == ("The region of interest was not found in 25 of 50 images.",)


def test_the_same_network_is_not_blamed_for_the_data(trapped: Audit, untrapped: Audit) -> None:
    """Only what the images are like differs between the two audits."""
    for result in (trapped, untrapped):
        assert result.trained_on == 50
        assert len(result.predictions) == 50
        assert result.mean_maps[0].difference.mean() > 0


def test_random_labels_raise_no_alarm(trap: Manifest) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        labels = [(int(label),) for label in rng.permutation(len(trap)) % 2]
        samples = tuple(replace(each, labels=label) for each, label in zip(trap.samples, labels, strict=True))
        result = audit(checkpoint(square_reader()), replace(trap, samples=samples), FAST, progress=False)
        assert not result.alarms
        assert not result.places


def test_one_output_is_asked_as_two_are(trap: Manifest, trapped: Audit) -> None:
    network = square_reader((200.0,), (-3.0,))
    single = audit(checkpoint(network, task=Task.BINARY), trap, FAST, progress=False)
    assert {finding.about for finding in single.alarms} == {finding.about for finding in trapped.alarms}
    shares = [[place.share.estimate for place in result.places] for result in (single, trapped)]
    assert shares[0] == pytest.approx(shares[1], abs=1e-4)


def test_each_of_several_classes_is_asked(trap: Manifest) -> None:
    samples = tuple(
        replace(each, labels=(2 if each.labels == (1,) else index // 2 % 2,)) for index, each in enumerate(trap.samples)
    )
    several = Manifest(samples, ("healthy", "old", "sick"))
    network = square_reader((-100.0, -100.0, 100.0), (1.0, 1.0, -2.0))
    given = checkpoint(network, classes=several.classes)
    result = audit(given, several, FAST, progress=False)
    assert {each.class_name for each in result.associations} == {"healthy", "old", "sick"}
    assert {("marker_upper_right", "sick"), ("upper right", "sick")} <= {
        (finding.about, finding.class_name) for finding in result.alarms
    }


def test_a_black_box_without_exact_maps_is_asked_for_its_output_alone(trap: Manifest) -> None:
    network = square_reader()
    network.add_module("again", nn.Softplus())
    result = audit(checkpoint(network, Head.GAP), trap, FAST, progress=False)
    assert result.places == ()
    assert result.mean_maps == ()
    assert [finding.about for finding in result.alarms] == ["marker_upper_right"]
    assert result.notes[0].startswith("Explanations are left out: ")


def test_images_with_most_evidence_outside_come_first(clean: Manifest) -> None:
    samples = list(clean.samples)
    moved = next(index for index, each in enumerate(samples) if each.split is Split.TEST and each.annotations)
    wrong = replace(samples[moved].annotations.boxes[0], x=0.0, y=0.0)
    samples[moved] = replace(samples[moved], annotations=Annotations(boxes=(wrong,)))
    settings = replace(FAST, roi=Roi.MASK)
    result = audit(checkpoint(square_reader()), replace(clean, samples=tuple(samples)), settings, progress=False)
    assert result.worst[0].image == str(samples[moved].image)
    assert result.worst[0].share == pytest.approx(1, abs=0.01)
    assert len(result.worst) == len(result.worst_maps) == 8
    assert result.worst_maps[0].max() > 0


def test_the_training_split_is_asked_for_labels_the_other_for_the_model(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", trap=True, count=60)
    test_only = manifest.select(Split.TEST).write(tmp_path / "set" / "test.csv")
    assert audit(checkpoint(square_reader()), test_only, FAST, progress=False).trained_on == 30
    everything = audit(checkpoint(square_reader()), manifest, replace(FAST, split=None), progress=False)
    assert (everything.trained_on, len(everything.predictions)) == (30, 60)


def test_too_little_to_ask_is_said(trap: Manifest) -> None:
    few = trap.select(where=lambda sample: sample.labels == (0,) or sample.image.stem < "011")
    with pytest.raises(DataError, match=r"^no class has 10 images with and 10 without it; an audit needs both$"):
        audit(checkpoint(square_reader()), few, FAST, progress=False)
    with pytest.raises(ConfigError, match=r"^--roi is mask, but none of the images has an annotation; choose "):
        audit(checkpoint(square_reader()), trap, replace(FAST, roi=Roi.MASK), progress=False)


def test_all_numbers_go_to_disk(trapped: Audit, tmp_path: Path) -> None:
    write_audit(trapped, tmp_path / "audit")
    facts = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert facts["alarm"] is True
    assert (facts["images"], facts["trained_on"], facts["split"]) == (50, 50, "test")
    assert {each["about"] for each in facts["findings"]} >= {"marker_upper_right", "upper right"}
    assert len(facts["properties"]) == len(trapped.associations)
    rows = list(csv.DictReader((tmp_path / "audit" / "images.csv").open()))
    assert [row["image"] for row in rows] == list(trapped.predictions.images)
    assert float(rows[3]["marker_upper_right"]) == pytest.approx(trapped.properties["marker_upper_right"][3], rel=1e-4)
    assert "upper right: sick" in rows[0]
