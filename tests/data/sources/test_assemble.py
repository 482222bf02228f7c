from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.data.sources.assemble import ImageIndex, patient_from
from softcam.errors import DataError

MakeImage = Callable[..., Path]


def test_images_are_found_by_path_name_or_stem(tmp_path: Path, make_image: MakeImage) -> None:
    png = make_image(tmp_path / "a/1.2_left.png")
    jpeg = make_image(tmp_path / "b/2_left.jpeg")
    index = ImageIndex(tmp_path)
    assert index.find("a/1.2_left.png") == png
    assert index.find("1.2_left.png") == png
    assert index.find("1.2_left") == png
    assert index.find("elsewhere/2_left.png") == jpeg
    assert index.find("1") is None


def test_one_name_in_two_folders_is_told_apart_by_the_path_alone(tmp_path: Path, make_image: MakeImage) -> None:
    first, second = make_image(tmp_path / "a/1.png"), make_image(tmp_path / "b/1.png")
    jpeg = make_image(tmp_path / "b/1.jpeg")
    index = ImageIndex(tmp_path)
    assert index.find("b/1.png") == second
    assert index.find("1.jpeg") == jpeg
    with pytest.raises(DataError) as caught:
        index.find("1.png")
    assert str(caught.value) == f"{first} and {second} have the same name; keep one of them below {tmp_path}."


def test_missing_images_are_counted(tmp_path: Path, make_image: MakeImage, caplog: pytest.LogCaptureFixture) -> None:
    png = make_image(tmp_path / "1.png")
    index = ImageIndex(tmp_path)
    with pytest.raises(DataError) as caught:
        index.locate(["1", "2", "3", "2"], skip_missing=False)
    assert str(caught.value) == (
        f"Image 2 is not below {tmp_path} (2 of 3 are missing); complete it or pass --skip_missing."
    )
    assert index.locate(["1", "2", "3"], skip_missing=True) == {"1": png}
    assert "left out 2 images" in caplog.text
    with pytest.raises(DataError, match=r"\(2 of 2 are missing\); check the folder\.$"):
        index.locate(["2", "3"], skip_missing=True)


def test_the_patient_is_the_first_group_or_all_that_matches() -> None:
    assert patient_from("site/P12_left.png", r"P(\d+)") == "12"
    assert patient_from("site/P12_left.png", r"P\d+") == "P12"
