from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.reporting.networks import BIAS, SIZE, card, checkpoint

from softcam.model.evidence import Evidence, SoftCAM
from softcam.model.task import Task
from softcam.reporting.record import Explained, ImageEvidence, Recorder, split_batch
from softcam.reporting.selection import ExplainOptions, Shown
from softcam.reporting.sources import Source

PICTURE = np.full((40, 40, 3), 50, np.uint8)


def evidence(task: Task = Task.MULTICLASS, classes: int = 3) -> Evidence:
    model = checkpoint([f"class {index}" for index in range(classes)], task).model
    assert isinstance(model, SoftCAM)
    return model.explain(torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))


def record(tmp_path: Path, classes: tuple[str, ...], options: ExplainOptions, image: ImageEvidence) -> Explained:
    recorder = Recorder(card(classes), options, tmp_path, converted=False)
    return recorder.write(Source(0, Path("scan.dcm"), Path("in/scan")), PICTURE, (80, 80), image, 5.0)


def test_totals_and_bias_are_the_logits() -> None:
    for image in split_batch(evidence(), Shown.CONTRAST):
        assert image.totals + image.bias == pytest.approx(image.logits, abs=1e-6)
        assert image.completeness_error < 1e-6
        assert image.bias == pytest.approx(np.full(3, BIAS))
        assert image.finite


@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_shown_of_a_softmax_adds_up_to_what_decides(classes: int) -> None:
    """Two classes: the difference of the logits. More: the logit over the mean logit."""
    whole = evidence(classes=classes)
    for image in split_batch(whole, Shown.CONTRAST):
        shown = image.shown.mean(axis=(1, 2)) + image.shown_bias
        over = image.logits[::-1] if classes == 2 else image.logits.mean()
        assert shown == pytest.approx(image.logits - over, abs=1e-5)


def test_raw_maps_and_those_of_sigmoid_outputs_are_shown_as_they_are() -> None:
    for image in (
        *split_batch(evidence(), Shown.RAW),
        *split_batch(evidence(Task.MULTILABEL), Shown.CONTRAST),
        *split_batch(evidence(Task.BINARY, 2), Shown.CONTRAST),
    ):
        assert (image.shown == image.maps).all()
        assert (image.shown_bias == image.bias).all()


def test_the_record_names_its_files_and_adds_up(tmp_path: Path) -> None:
    classes = ("no finding", "opacity/mass", "other")
    image = split_batch(evidence(), Shown.CONTRAST)[0]
    explained = record(tmp_path, classes, ExplainOptions(top=2), image)
    said = json.loads(explained.record.read_text(encoding="utf-8"))
    assert explained.record == tmp_path / "in/scan.json"
    assert said["image"] == "scan.dcm"
    assert said["size"] == [80, 80]
    assert said["map_size"] == [4, 4]
    assert (said["limit"], said["limit_given"], said["shown"]) == (5.0, False, "contrast")
    for name, logit in said["logits"].items():
        assert said["evidence_totals"][name] + said["bias"][name] == pytest.approx(logit, abs=1e-6)
    assert sum(said["probabilities"].values()) == pytest.approx(1)
    best = max(said["probabilities"], key=said["probabilities"].get)
    assert said["predicted"] == [best] == list(explained.predicted)
    assert explained.probability == said["probabilities"][best]
    assert said["overlays"][best] == f"scan.{best.replace('/', '-').replace(' ', '-')}.png"
    written = {file.name for file in (tmp_path / "in").iterdir()}
    assert written == {"scan.json", said["maps"], *said["overlays"].values()}
    assert len(said["overlays"]) == 2


def test_the_maps_are_those_of_the_network_without_bias(tmp_path: Path) -> None:
    whole = evidence()
    record(tmp_path, ("a", "b", "c"), ExplainOptions(), split_batch(whole, Shown.CONTRAST)[1])
    with np.load(tmp_path / "in/scan.npz", allow_pickle=False) as kept:
        assert kept["maps"].dtype == np.float32
        assert (kept["maps"] == whole.maps[1].numpy()).all()
        assert kept["maps"].mean((1, 2)) + kept["bias"] == pytest.approx(kept["logits"], abs=1e-6)
        assert kept["classes"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("classes", [("a b", "a-b", "c"), ("A", "a", "b"), ("?", "b", "c")])
def test_classes_whose_names_make_the_same_file_name_are_numbered(tmp_path: Path, classes: tuple[str, ...]) -> None:
    image = split_batch(evidence(), Shown.CONTRAST)[0]
    explained = record(tmp_path, classes, ExplainOptions(top=3), image)
    overlays = json.loads(explained.record.read_text(encoding="utf-8"))["overlays"]
    assert set(overlays) == set(classes)
    assert {name.split(".")[1][0] for name in overlays.values()} == {"0", "1", "2"}
    assert all(Image.open(tmp_path / "in" / name).format == "PNG" for name in overlays.values())
