from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.manifest import Manifest
from softcam.data.sources.eyepacs import GRADES, Grading, prepare_eyepacs
from softcam.data.splits import SplitOptions
from softcam.errors import ConfigError, DataError

SPLIT = SplitOptions((0.5, 0, 0.5))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "eyepacs"
    (root / "train").mkdir(parents=True)
    y, x = np.mgrid[:60, :90]
    eye = ((np.hypot(x - 45, y - 30) < 28) * 150).astype(np.uint8)
    lines = []
    for patient in range(5):
        for side in ("left", "right"):
            name = f"{10000 + patient}_{side}"
            Image.fromarray(np.stack([eye, eye // 2, eye // 4], axis=-1)).save(root / f"train/{name}.jpeg")
            lines.append(f"{name},{patient if side == 'left' else 0}")
    (root / "trainLabels.csv").write_text("\n".join(["image,level", *lines]))
    return root


def test_healthy_against_retinopathy(root: Path) -> None:
    manifest = prepare_eyepacs(root, root / "dr.csv", split=SPLIT)
    assert Manifest.read(root / "dr.csv") == manifest
    assert manifest.classes == ("no DR", "DR")
    assert manifest.patients == ("10000", "10001", "10002", "10003", "10004")
    assert [sample.labels for sample in manifest.samples[:4]] == [(0,), (0,), (1,), (0,)]
    assert manifest.samples[2].extra == {"eye": "left", "grade": "1"}


def test_five_grades(root: Path) -> None:
    manifest = prepare_eyepacs(root, root / "dr.csv", grading=Grading.GRADES, split=SPLIT)
    assert manifest.classes == GRADES
    assert [sample.labels for sample in manifest.samples[::2]] == [(0,), (1,), (2,), (3,), (4,)]


def test_processed_copies_take_the_place_of_the_originals(root: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    manifest = prepare_eyepacs(
        root, copies / "dr.csv", images_out=copies / "images", crop=True, contrast=True, size=32, split=SPLIT
    )
    assert manifest.samples[0].image == copies / "images/10000_left.png"
    assert Image.open(manifest.samples[0].image).size == (32, 32)
    assert (copies / "dr.csv").read_text().splitlines()[1].startswith("images/10000_left.png,0,no DR,10000,")


def test_copies_below_the_root_can_be_made_again(root: Path) -> None:
    for size in (16, 24):
        manifest = prepare_eyepacs(root, root / "dr.csv", images_out=root / "copies", crop=True, size=size, split=SPLIT)
        assert {Image.open(sample.image).size for sample in manifest.samples} == {(size, size)}


@pytest.mark.parametrize("options", [{"crop": True}, {"images_out": Path("copies")}])
def test_processing_needs_a_folder_and_a_change(root: Path, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="Processed copies need --images_out FOLDER and at least one of"):
        prepare_eyepacs(root, root / "dr.csv", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("10000_left,5", "line 2: level '5' is no grade from 0 to 4; use Kaggle's file."),
        ("10000,0", "line 2: image '10000' is not PATIENT_left or PATIENT_right; use Kaggle's file."),
    ],
)
def test_a_wrong_row_is_named(root: Path, row: str, message: str) -> None:
    (root / "trainLabels.csv").write_text(f"image,level\n{row}\n")
    with pytest.raises(DataError) as caught:
        prepare_eyepacs(root, root / "dr.csv")
    assert str(caught.value) == f"{root / 'trainLabels.csv'}, {message}"
