from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.data.manifest import Manifest, Split
from softcam.data.sources.class_folders import FoundImage
from softcam.data.sources.kermany import kermany_patient, prepare_kermany
from softcam.data.splits import SplitOptions
from softcam.errors import DataError

MakeImage = Callable[..., Path]
SPLIT = SplitOptions((0.5, 0, 0.5))


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("CNV-6294785-1.jpeg", "6294785"),
        ("NORMAL-6294785-22.jpeg", "6294785"),
        ("person1000_bacteria_2931.jpeg", "person1000"),
        ("person1000_virus_1681.jpeg", "person1000"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0439-0001-0002.jpeg", "IM-0439"),
        ("NORMAL2-IM-0117-0001.jpeg", "NORMAL2-IM-0117"),
        ("BACTERIA-1008087-0001.jpeg", "1008087"),
    ],
)
def test_the_patient_is_in_the_name(name: str, patient: str) -> None:
    assert kermany_patient(FoundImage(Path("/x") / name, name, "x")) == patient


def test_oct_without_splits(tmp_path: Path, make_image: MakeImage) -> None:
    for label in ("CNV", "DME", "DRUSEN", "NORMAL"):
        for number in range(100, 104):
            for scan in (1, 2):
                make_image(tmp_path / f"{label}/{label}-{number}-{scan}.jpeg")
    manifest = prepare_kermany(tmp_path, tmp_path / "oct.csv", split=SPLIT)
    assert Manifest.read(tmp_path / "oct.csv") == manifest
    assert manifest.classes == ("NORMAL", "DRUSEN", "DME", "CNV")
    assert manifest.patients == ("100", "101", "102", "103")
    binary = prepare_kermany(tmp_path, tmp_path / "oct.csv", classes=("NORMAL", "DRUSEN"), split=SPLIT)
    assert binary.classes == ("NORMAL", "DRUSEN")
    assert len(binary) == 16


def test_given_splits_are_kept_and_a_leaking_one_refused(tmp_path: Path, make_image: MakeImage) -> None:
    for patient in range(1, 7):
        make_image(tmp_path / f"train/PNEUMONIA/person{patient}_virus_{patient}.jpeg")
        make_image(tmp_path / f"train/NORMAL/IM-000{patient}-0001.jpeg")
    make_image(tmp_path / "test/PNEUMONIA/person9_virus_9.jpeg")
    make_image(tmp_path / "test/NORMAL/NORMAL2-IM-0001-0001.jpeg")
    out = tmp_path / "cxr.csv"
    manifest = prepare_kermany(tmp_path, out, split=SplitOptions(val_fraction=0.25))
    assert manifest.classes == ("NORMAL", "PNEUMONIA")
    assert manifest.select(Split.TEST).patients == ("NORMAL2-IM-0001", "person9")
    assert len(manifest.select(Split.VAL)) > 0

    make_image(tmp_path / "test/PNEUMONIA/person1_bacteria_2.jpeg")
    with pytest.raises(DataError) as caught:
        prepare_kermany(tmp_path, out)
    assert str(caught.value) == (
        "patient 'person1' is in two splits, test (person1_bacteria_2.jpeg) and train (person1_virus_1.jpeg); keep "
        "a patient's images together, or let `softcam prepare ... --resplit` draw new splits."
    )
    assert len(prepare_kermany(tmp_path, out, split=SplitOptions(resplit=True))) == 15


def test_another_name_is_refused(tmp_path: Path, make_image: MakeImage) -> None:
    make_image(tmp_path / "NORMAL/scan.jpeg")
    with pytest.raises(DataError, match=r"scan\.jpeg has no patient in its name, .* use `softcam prepare folder`"):
        prepare_kermany(tmp_path, tmp_path / "oct.csv")


def test_the_real_radiographs(real_data: Path, tmp_path: Path) -> None:
    manifest = prepare_kermany(real_data / "kermany-cxr", tmp_path / "cxr.csv")
    counts = manifest.counts()
    assert counts["test"] == {"NORMAL": 186, "PNEUMONIA": 300}
    assert {name: counts["train"][name] + counts["val"][name] for name in manifest.classes} == {
        "NORMAL": 1000,
        "PNEUMONIA": 1000,
    }
