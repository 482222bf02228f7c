from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.data.manifest import Split
from softcam.data.sources.class_folders import FoundImage, samples_of, scan_class_folders
from softcam.errors import DataError

MakeImage = Callable[..., Path]


def test_images_know_their_class_and_split(tmp_path: Path, make_image: MakeImage) -> None:
    val = make_image(tmp_path / "VALID/b/2.png")
    train = make_image(tmp_path / "train/a/deep/1.png")
    make_image(tmp_path / "__MACOSX/a/1.png")
    (tmp_path / "train/a/notes.txt").touch()
    assert scan_class_folders(tmp_path) == [
        FoundImage(val, "VALID/b/2.png", "b", Split.VAL),
        FoundImage(train, "train/a/deep/1.png", "a", Split.TRAIN),
    ]


def test_an_empty_class_folder_is_an_error(tmp_path: Path, make_image: MakeImage) -> None:
    make_image(tmp_path / "a/1.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match=str(tmp_path / "b")):
        scan_class_folders(tmp_path)


def test_samples_take_the_patient_from_the_caller() -> None:
    found = [FoundImage(Path(f"/{name}/1.png"), f"{name}/1.png", name, Split.TEST) for name in ("a", "b")]
    (sample,) = samples_of(found, {"b": 0}, lambda image: image.name.upper())
    assert (sample.image, sample.labels, sample.patient, sample.split) == (
        Path("/b/1.png"),
        (0,),
        "B/1.PNG",
        Split.TEST,
    )
