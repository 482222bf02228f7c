from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.data.manifest import Manifest, Split
from softcam.data.sources.folder import prepare_folder
from softcam.data.splits import SplitOptions
from softcam.errors import ConfigError, DataError

MakeImage = Callable[..., Path]
SPLIT = SplitOptions((0.5, 0, 0.5))


@pytest.fixture
def root(tmp_path: Path, make_image: MakeImage) -> Path:
    for label in ("drusen", "healthy", "amd"):
        for number in range(4):
            make_image(tmp_path / f"scans/{label}/visit1/P{number}_{label}.png")
    (tmp_path / "scans/.hidden").mkdir()
    return tmp_path / "scans"


def test_class_folders(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = prepare_folder(root, root / "m.csv", split=SPLIT)
    assert Manifest.read(root / "m.csv") == manifest
    assert manifest.classes == ("healthy", "amd", "drusen")
    assert len(manifest.patients) == 12
    assert manifest.samples[0].patient == "amd/visit1/P0_amd.png"
    assert caplog.text == ""


def test_chosen_classes_in_their_order(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = prepare_folder(root, root / "m.csv", classes=("drusen", "healthy"), split=SPLIT)
    assert manifest.classes == ("drusen", "healthy")
    assert len(manifest) == 8
    assert "left out the images of class amd" in caplog.text


def test_the_pattern_tells_the_patient(root: Path) -> None:
    manifest = prepare_folder(root, root / "m.csv", patient_regex=r"/(P\d)_", split=SPLIT)
    assert manifest.patients == ("P0", "P1", "P2", "P3")
    with pytest.raises(DataError, match=r"does not match amd/visit1/P0_amd\.png; widen it\.$"):
        prepare_folder(root, root / "m.csv", patient_regex="drusen")
    with pytest.raises(ConfigError, match=r"^Patient pattern '\(' is not a regular expression: "):
        prepare_folder(root, root / "m.csv", patient_regex="(")


def test_split_folders_whatever_they_are_called(tmp_path: Path, make_image: MakeImage) -> None:
    for split in ("Train", "validation", "testing"):
        for label in ("a", "b"):
            make_image(tmp_path / f"{split}/{label}/{split}.png")
    manifest = prepare_folder(tmp_path, tmp_path / "m.csv")
    assert {sample.split for sample in manifest.samples} == set(Split)
    assert manifest.counts()["val"] == {"a": 1, "b": 1}
    make_image(tmp_path / "other/c.png")
    with pytest.raises(DataError, match="has split folders beside 'other'; move or remove what is no split"):
        prepare_folder(tmp_path, tmp_path / "m.csv")


def test_one_class_with_masks(tmp_path: Path, make_image: MakeImage) -> None:
    images, exudates, bleeding = (tmp_path / name for name in ("images", "exudates", "bleeding"))
    for name in ("1", "2", "3"):
        make_image(images / f"{name}.jpg")
    make_image(exudates / "1.png")
    make_image(exudates / "2.png")
    make_image(bleeding / "1.tif")
    manifest = prepare_folder(
        images,
        tmp_path / "m.csv",
        label="DR",
        classes=("healthy", "DR"),
        mask_folders=(exudates, bleeding),
        split=SplitOptions((0, 0, 1)),
    )
    assert manifest.classes == ("healthy", "DR")
    assert [sample.labels for sample in manifest.samples] == [(1,)] * 3
    assert [sample.annotations.masks for sample in manifest.samples] == [
        (exudates / "1.png", bleeding / "1.tif"),
        (exudates / "2.png",),
        (),
    ]
    with pytest.raises(ConfigError, match=r"^Label 'DR' is none of the classes healthy, AMD\.$"):
        prepare_folder(images, tmp_path / "m.csv", label="DR", classes=("healthy", "AMD"))
    with pytest.raises(DataError, match=r"No mask below .*scans has the name of an image; name masks like"):
        make_image(tmp_path / "scans/x.png")
        prepare_folder(images, tmp_path / "m.csv", label="DR", mask_folders=(tmp_path / "scans",))


def test_a_mask_of_another_size_is_an_error(tmp_path: Path, make_image: MakeImage) -> None:
    make_image(tmp_path / "images/1.png")
    make_image(tmp_path / "masks/1.png", 9, 9)
    with pytest.raises(DataError, match=r"masks/1\.png is 9×9 px but its image .* is 8×8 px"):
        prepare_folder(
            tmp_path / "images",
            tmp_path / "m.csv",
            label="DR",
            mask_folders=(tmp_path / "masks",),
            split=SplitOptions((1, 0, 0)),
        )


def test_no_folder_no_classes_no_such_class(root: Path, tmp_path: Path, make_image: MakeImage) -> None:
    with pytest.raises(DataError, match=r"Folder .*none does not exist; check the path\.$"):
        prepare_folder(tmp_path / "none", root / "m.csv")
    make_image(tmp_path / "flat/x.png")
    with pytest.raises(DataError, match=r"flat has no class folders with images; sort them as flat/CLASS/IMAGE\.$"):
        prepare_folder(tmp_path / "flat", root / "m.csv")
    with pytest.raises(DataError, match=r"scans has no class 'cnv'; it has healthy, amd, drusen\.$"):
        prepare_folder(root, root / "m.csv", classes=("cnv",))
