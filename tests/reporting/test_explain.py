from __future__ import annotations

import json
import logging
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid
from tests.reporting.networks import BIAS, CELL, CLASSES, SIZE, black_box, checkpoint, write_picture
from torch import nn

from softcam.data.images import read_image
from softcam.errors import CheckpointError, ConfigError, ConversionError, DataError
from softcam.model.checkpoint import Checkpoint
from softcam.model.task import Task
from softcam.reporting import explain
from softcam.reporting.explain import SCALE_IMAGES, explain_images
from softcam.reporting.record import Explained
from softcam.reporting.selection import ExplainOptions, Shown

GAP_HEAD = nn.Sequential(OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(8, 3)))


def said(image: Explained) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(image.record.read_text(encoding="utf-8"))
    return record


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def write_dicom(path: Path, stored: np.ndarray) -> Path:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    header.Rows, header.Columns = stored.shape
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelData = stored.astype(np.uint16).tobytes()
    pydicom.dcmwrite(path, header, enforce_file_format=True)
    return path


def test_numbers_and_maps_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    image = write_picture(tmp_path / "in/eye.png")
    result = explain_images(checkpoint(), [image], tmp_path / "out")
    cells = read_image(image).pixels.reshape(3, SIZE // CELL, CELL, SIZE // CELL, CELL).mean((2, 4)) * 2 - 1
    maps = cells * torch.tensor([10.0, 20.0, 30.0]).view(3, 1, 1)
    logits = maps.mean((1, 2)) + BIAS
    with np.load(tmp_path / "out/eye.npz") as kept:
        assert kept["maps"] == pytest.approx(maps.numpy(), abs=1e-4)
        assert kept["logits"] == pytest.approx(logits.numpy(), abs=1e-4)
    numbers = said(result.images[0])
    assert list(numbers["probabilities"]) == list(CLASSES)
    assert list(numbers["probabilities"].values()) == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
    assert list(numbers["evidence_totals"].values()) == pytest.approx((logits - BIAS).tolist(), abs=1e-4)
    assert numbers["completeness_error"] < 1e-5
    best = CLASSES[int(logits.argmax())]
    assert result.images[0].predicted == (best,)
    assert files(tmp_path / "out") == {f"eye.{best}.png", "eye.json", "eye.npz"}
    assert not result.converted
    assert not result.failures


def test_the_order_is_that_of_the_files_whatever_is_done_first(tmp_path: Path) -> None:
    count = SCALE_IMAGES + 7
    images = [write_picture(tmp_path / f"in/{number:02}.png", number) for number in range(count)]
    result = explain_images(checkpoint(), images[::-1], tmp_path / "out", ExplainOptions(batch_size=5))
    assert [explained.image for explained in result.images] == images[::-1]
    single = explain_images(checkpoint(), images[4:5], tmp_path / "single")
    together = next(each for each in result.images if each.image == images[4])
    assert said(together)["logits"] == pytest.approx(said(single.images[0])["logits"], abs=1e-5)


def test_all_pictures_of_a_call_have_one_scale_and_the_classes_shown_do_not_change_it(tmp_path: Path) -> None:
    images = [write_picture(tmp_path / f"in/{number}.png", number) for number in range(3)]
    one = explain_images(checkpoint(), images, tmp_path / "one", ExplainOptions(classes=("healthy",)))
    two = explain_images(checkpoint(), images, tmp_path / "two", ExplainOptions(top=3, batch_size=2))
    assert {said(image)["limit"] for image in (*one.images, *two.images)} == {one.limit} == {two.limit}
    given = explain_images(checkpoint(), images, tmp_path / "given", ExplainOptions(limit=7.5))
    assert {said(image)["limit"] for image in given.images} == {given.limit} == {7.5}
    assert all(said(image)["limit_given"] for image in given.images)


def test_the_same_call_writes_the_same_bytes(tmp_path: Path) -> None:
    images = [write_picture(tmp_path / f"in/{number}.png", number) for number in range(4)]
    for name in ("one", "two"):
        explain_images(checkpoint(), images, tmp_path / name, ExplainOptions(batch_size=3))
    assert files(tmp_path / "one") == files(tmp_path / "two")
    for file in files(tmp_path / "one"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_contrast_and_raw_show_different_maps_of_the_same_evidence(tmp_path: Path) -> None:
    image = write_picture(tmp_path / "in/eye.png")
    contrast, raw = (
        said(explain_images(checkpoint(), [image], tmp_path / shown, ExplainOptions(shown=shown)).images[0])
        for shown in Shown
    )
    assert raw["shown_totals"] == raw["evidence_totals"] == contrast["evidence_totals"]
    mean = sum(raw["evidence_totals"].values()) / 3
    expected = {name: total - mean for name, total in raw["evidence_totals"].items()}
    assert contrast["shown_totals"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_of_two_classes_the_positive_one_is_shown_whatever_is_predicted(tmp_path: Path, task: Task) -> None:
    images = [write_picture(tmp_path / f"in/{number}.png", number) for number in range(6)]
    model = checkpoint(("healthy", "sick"), task)
    result = explain_images(model, images, tmp_path / "out")
    assert {name for image in result.images for name in said(image)["overlays"]} == {"sick"}
    assert len({image.predicted for image in result.images}) == 2


def test_sizes_and_kinds_of_files_mix(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    stored = np.random.default_rng(0).integers(0, 4096, (50, 30))
    write_picture(folder / "colour.png", size=(45, 61))
    write_dicom(folder / "1.2.840.113", stored)
    Image.fromarray((stored * 16).astype(np.uint16)).save(folder / "deep.tif")
    Image.fromarray((stored // 16).astype(np.uint8)).save(folder / "grey.jpg")
    result = explain_images(checkpoint(), [folder], tmp_path / "out", ExplainOptions(classes=("late",)))
    records = {image.record.stem: said(image) for image in result.images}
    assert set(records) == {"colour", "1.2.840.113", "deep", "grey"}
    assert records["colour"]["size"] == [45, 61]
    for name in ("late", "healthy"):
        assert records["1.2.840.113"]["logits"][name] == pytest.approx(records["deep"]["logits"][name], abs=0.02)
    assert {name for name in files(tmp_path / "out") if name.endswith(".png")} == {f"{n}.late.png" for n in records}


def test_a_bad_file_is_reported_and_the_rest_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = [write_picture(tmp_path / f"in/{number}.png", number) for number in range(3)]
    bad = tmp_path / "in/bad.png"
    bad.write_bytes(good[0].read_bytes()[:200])
    nan = tmp_path / "in/nan.tif"
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(nan)
    gone = tmp_path / "in/gone.png"
    result = explain_images(checkpoint(), [good[0], bad, gone, nan, *good[1:]], tmp_path / "out")
    assert [image.image for image in result.images] == good
    reasons = {failure.path: failure.reason for failure in result.failures}
    assert reasons == {
        gone: f"{gone} does not exist; check the path.",
        bad: f"{bad} is damaged or cut short; copy or export it again.",
        nan: f"{nan} has NaN or infinite pixels; replace them before saving it.",
    }
    reported = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.ERROR]
    assert sorted(reported) == sorted(reasons.values())
    assert len(files(tmp_path / "out")) == 3 * len(good)


def test_nothing_but_bad_files(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    result = explain_images(checkpoint(), [tmp_path / "bad.png"], tmp_path / "out")
    assert (result.images, len(result.failures), result.limit) == ((), 1, None)
    assert not (tmp_path / "out").exists()


def test_strict_stops_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    images = [write_picture(tmp_path / f"in/{number}.png", number) for number in range(6)]
    images[3].write_bytes(b"no image")
    options = ExplainOptions(strict=True, batch_size=1, limit=5.0, classes=("late",))
    with pytest.raises(DataError, match=r"3\.png is no image that softcam reads"):
        explain_images(checkpoint(), images, tmp_path / "out", options)
    written = files(tmp_path / "out")
    assert written == {f"{n}.{kind}" for n in range(3) for kind in ("json", "npz", "late.png")}
    with pytest.raises(DataError, match=r"gone\.png does not exist"):
        explain_images(checkpoint(), [tmp_path / "gone.png"], tmp_path / "out", options)


def test_a_full_disk_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("softcam.reporting.record.to_png", full)
    images = [write_picture(tmp_path / f"in/{number}.png", number) for number in range(3)]
    with pytest.raises(OSError, match="No space left"):
        explain_images(checkpoint(), images, tmp_path / "out")


def test_evidence_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    model = checkpoint()
    with torch.no_grad():
        next(model.model.parameters()).fill_(float("nan"))
    result = explain_images(model, [write_picture(tmp_path / "in/eye.png")], tmp_path / "out")
    assert "eye.png gives evidence that is not finite; check the weights of the model" in result.failures[0].reason
    assert not result.images


def test_only_a_few_images_are_under_way_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most, load, write = 0, 0, explain._load, explain.Recorder.write

    def loading(*arguments: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        return load(*arguments)

    def writing(*arguments: Any) -> Any:
        nonlocal under_way
        under_way -= 1
        return write(*arguments)

    monkeypatch.setattr(explain, "_load", loading)
    monkeypatch.setattr(explain.Recorder, "write", writing)
    images = [write_picture(tmp_path / f"in/{number}.png", number) for number in range(60)]
    explain_images(checkpoint(), images, tmp_path / "out", ExplainOptions(batch_size=2, limit=5.0))
    assert under_way == 0
    assert most <= 2 + 2 + 2 * 2 + 2 + 2  # ahead, in the batch, waiting to be written, just taken out and put in


def test_a_black_box_is_converted_and_decides_as_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = black_box(GAP_HEAD)
    image = write_picture(tmp_path / "in/eye.png")
    result = explain_images(model, [image], tmp_path / "out")
    assert result.converted
    assert "black box; it was converted" in caplog.text
    numbers = said(result.images[0])
    assert numbers["model"]["converted_from_black_box"]
    inputs = explain.preprocessing_of(model.card)(read_image(image).pixels)[None]
    expected = model.model(inputs)[0].tolist()
    assert list(numbers["logits"].values()) == pytest.approx(expected, abs=1e-4)


def test_a_black_box_that_would_decide_otherwise_is_refused(tmp_path: Path) -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8), nn.Hardswish(), nn.Linear(8, 3))
    with pytest.raises(ConversionError, match=r"whose decisions would change .* train it with --head softcam$"):
        explain_images(black_box(head), [write_picture(tmp_path / "in/eye.png")], tmp_path / "out")


def test_a_card_must_say_how_images_are_prepared(tmp_path: Path) -> None:
    model = checkpoint()
    bare = Checkpoint(model.model, replace(model.card, preprocessing={}))
    with pytest.raises(CheckpointError, match="the model's card does not say how to prepare images"):
        explain_images(bare, [write_picture(tmp_path / "in/eye.png")], tmp_path / "out")


def test_an_unknown_class_is_found_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="class 'moon' is none"):
        explain_images(checkpoint(), [tmp_path / "gone.png"], tmp_path / "out", ExplainOptions(classes=("moon",)))
    assert not (tmp_path / "out").exists()
