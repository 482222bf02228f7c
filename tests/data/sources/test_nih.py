from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.data.manifest import Box, Manifest, Split
from softcam.data.sources.nih import FINDINGS, prepare_nih
from softcam.data.splits import SplitOptions
from softcam.errors import ConfigError, DataError

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
ROWS = {
    "00000001_000.png": "Cardiomegaly|Effusion",
    "00000001_001.png": "No Finding",
    "00000002_000.png": "Pneumonia|Infiltration",
    "00000003_000.png": "No Finding",
    "00000004_000.png": "Pneumonia",
    "00000005_000.png": "No Finding",
}
SPLIT = SplitOptions((0.5, 0, 0.5))


@pytest.fixture
def root(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    root = tmp_path / "nih"
    lines = [f"{name},{labels},0,{int(name[:8])},58,M,PA,2682,2749,0.143,0.143," for name, labels in ROWS.items()]
    (root / "images_001/images").mkdir(parents=True)
    for index, name in enumerate(ROWS):
        make_image(root / f"images_{index % 2 + 1:03d}/images" / name, 1024, 1024)
    (root / "Data_Entry_2017.csv").write_text("\n".join([HEADER, *lines]))
    (root / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
        "00000002_000.png,Pneumonia,100.5,200,300,400,,,\n"
        "00000002_000.png,Infiltrate,10,20,30,40,,,\n"
    )
    return root


def test_fourteen_findings_at_once(root: Path) -> None:
    manifest = prepare_nih(root, root / "nih.csv", split=SPLIT)
    assert Manifest.read(root / "nih.csv") == manifest
    assert manifest.classes == FINDINGS
    by_name = {sample.image.name: sample for sample in manifest.samples}
    assert by_name["00000001_000.png"].labels == (FINDINGS.index("Cardiomegaly"), FINDINGS.index("Effusion"))
    assert by_name["00000001_001.png"].labels == ()
    assert by_name["00000001_000.png"].split == by_name["00000001_001.png"].split
    pneumonia = by_name["00000002_000.png"]
    assert pneumonia.annotations.boxes == (Box(100.5, 200, 300, 400), Box(10, 20, 30, 40))
    assert pneumonia.extra == {
        "Follow-up #": "0",
        "Patient Age": "58",
        "Patient Gender": "M",
        "View Position": "PA",
        "box_findings": "Pneumonia|Infiltration",
    }


def test_one_finding_against_none(root: Path) -> None:
    manifest = prepare_nih(root, root / "nih.csv", finding="Pneumonia", split=SPLIT)
    assert manifest.classes == ("No Finding", "Pneumonia")
    assert {sample.image.name: sample.labels for sample in manifest.samples} == {
        "00000001_001.png": (0,),
        "00000002_000.png": (1,),
        "00000003_000.png": (0,),
        "00000004_000.png": (1,),
        "00000005_000.png": (0,),
    }
    boxes = [sample.annotations.boxes for sample in manifest.samples if sample.annotations]
    assert boxes == [(Box(100.5, 200, 300, 400),)]


def test_boxes_are_scaled_to_resized_images(root: Path, make_image: Callable[..., Path]) -> None:
    (root / "images_001/images/00000002_000.png").unlink()
    make_image(root / "images_001/images/00000002_000.jpg", 512, 256)
    manifest = prepare_nih(root, root / "nih.csv", finding="Pneumonia", split=SPLIT)
    (sample,) = manifest.select(where=lambda sample: bool(sample.annotations)).samples
    assert sample.annotations.boxes == (Box(50.25, 50, 150, 100),)


def test_the_official_split_is_used_and_gets_a_validation_part(root: Path) -> None:
    (root / "train_val_list.txt").write_text("\n".join(name for name in ROWS if name < "00000004"))
    (root / "test_list.txt").write_text("\n".join(name for name in ROWS if name >= "00000004"))
    manifest = prepare_nih(root, root / "nih.csv", split=SplitOptions(val_fraction=0.3))
    test = [sample.image.name for sample in manifest.select(Split.TEST).samples]
    assert test == ["00000004_000.png", "00000005_000.png"]
    assert 0 < len(manifest.select(Split.VAL)) < 4


def test_half_of_the_official_split_is_refused(root: Path) -> None:
    (root / "test_list.txt").write_text("00000005_000.png")
    with pytest.raises(DataError, match=r"train_val_list\.txt is missing but the other half"):
        prepare_nih(root, root / "nih.csv")


def test_missing_images(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "images_002/images/00000003_000.png").unlink()
    with pytest.raises(DataError, match=r"is not below .* \(1 of 6 are missing\); complete it or pass --skip_missing"):
        prepare_nih(root, root / "nih.csv", split=SPLIT)
    manifest = prepare_nih(root, root / "nih.csv", split=SPLIT, skip_missing=True)
    assert "00000003_000.png" not in {sample.image.name for sample in manifest.samples}
    assert "left out" in caplog.text


def test_what_is_unknown_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"^Finding 'Pneu' is none of Atelectasis, "):
        prepare_nih(root, root / "nih.csv", finding="Pneu")
    (root / "Data_Entry_2017_v2020.csv").write_text("")
    with pytest.raises(DataError, match=r"but has Data_Entry_2017\.csv and Data_Entry_2017_v2020\.csv\.$"):
        prepare_nih(root, root / "nih.csv")
    (root / "Data_Entry_2017_v2020.csv").unlink()
    (root / "Data_Entry_2017.csv").write_text(f"{HEADER}\na.png,Cough,0,1,1,M,PA,1,1,1,1,\n")
    with pytest.raises(DataError, match=r"Data_Entry_2017\.csv, line 2: finding 'Cough' is unknown"):
        prepare_nih(root, root / "nih.csv")
