from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.data.manifest import Box, Manifest, Point, Split
from softcam.data.sources.table import Columns, prepare_csv
from softcam.data.splits import SplitOptions
from softcam.errors import ConfigError, DataError

SPLIT = SplitOptions((0.5, 0, 0.5))


@pytest.fixture
def root(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    for name in ("train/007_left.png", "train/007_right.png", "test/08_left.png", "test/09_left.png"):
        make_image(tmp_path / "images" / name, 64, 64)
    return tmp_path / "images"


def table(root: Path, name: str, *lines: str) -> Path:
    path = root.parent / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_one_table_with_named_columns(root: Path) -> None:
    csv = table(
        root,
        "index.csv",
        "filename,patient_id,level,part,site,boxes",
        "007_left,007,0,Train,A,x",
        "007_right,007,3,train,A,",
        "08_left.jpeg,08,1,Testing,B,",
        "09_left,09,,test,B,",
    )
    columns = Columns("filename", "level", patient_column="patient_id", split_column="part")
    manifest = prepare_csv(
        root,
        root.parent / "m.csv",
        csv=csv,
        columns=columns,
        positive_from=1,
        classes=("healthy", "DR"),
        split=SplitOptions(val_fraction=0),
    )
    assert Manifest.read(root.parent / "m.csv") == manifest
    assert manifest.classes == ("healthy", "DR")
    assert [(s.image.name, s.labels, s.patient, s.split) for s in manifest.samples] == [
        ("007_left.png", (0,), "007", Split.TRAIN),
        ("007_right.png", (1,), "007", Split.TRAIN),
        ("08_left.png", (1,), "08", Split.TEST),
    ]
    assert manifest.samples[1].extra == {"level": "3", "site": "A", "source_boxes": ""}


def test_a_table_per_split_as_the_authors_of_softcam_publish_them(root: Path) -> None:
    header = "patient_id,filename,type,drusen"
    train = table(root, "train.csv", header, "7,train/007_left.png,Train,0", "7,train/007_right.png,Train,1")
    val = table(root, "val.csv", header, "8,test/08_left.png,Train,0")
    test = table(root, "test.csv", header, "9,test/09_left.png,Test,1")
    manifest = prepare_csv(
        root,
        root.parent / "m.csv",
        train_csv=train,
        val_csv=val,
        test_csv=test,
        columns=Columns("filename", "drusen", "patient_id"),
        classes=("normal", "drusen"),
    )
    assert [sample.split for sample in manifest.samples] == [Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST]
    assert manifest.classes == ("normal", "drusen")
    assert manifest.samples[0].extra == {"type": "Train"}


def test_boxes_and_points_from_a_table_of_their_own(root: Path) -> None:
    csv = table(root, "index.csv", "image,label", "007_left.png,1", "08_left.png,0")
    drawn = table(root, "boxes.csv", "image,x,y,w,h,px,py", "007_left.png,1,2,3,4,,", "007_left.png,,,,,5,6")
    manifest = prepare_csv(
        root,
        root.parent / "m.csv",
        csv=csv,
        annotations_csv=drawn,
        columns=Columns(box_columns=("x", "y", "w", "h"), point_columns=("px", "py")),
        split=SPLIT,
    )
    assert manifest.samples[0].annotations.boxes == (Box(1, 2, 3, 4),)
    assert manifest.samples[0].annotations.points == (Point(5, 6),)
    assert not manifest.samples[1].annotations


def test_a_row_per_box_in_one_table(root: Path) -> None:
    csv = table(root, "index.csv", "image,label,x,y,w,h", "007_left,1,1,2,3,4", "007_left,1,5,6,7,8", "08_left,0,,,,")
    columns = Columns(box_columns=("x", "y", "w", "h"))
    manifest = prepare_csv(root, root.parent / "m.csv", csv=csv, columns=columns, split=SPLIT)
    assert [len(sample.annotations.boxes) for sample in manifest.samples] == [2, 0]


def test_masks_patients_by_pattern_and_missing_images(
    root: Path, make_image: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    make_image(root / "masks/soft.png", 64, 64)
    make_image(root.parent / "hard/08_left.png", 64, 64)
    csv = table(root, "index.csv", "image,label,mask", "007_left,1,masks/soft.png", "08_left,0,", "10_left,1,")
    manifest = prepare_csv(
        root,
        root.parent / "m.csv",
        csv=csv,
        columns=Columns(mask_column="mask"),
        patient_regex=r"^(\d+)_",
        mask_folders=(root.parent / "hard",),
        skip_missing=True,
        split=SPLIT,
    )
    assert [sample.patient for sample in manifest.samples] == ["007", "08"]
    assert [sample.annotations.masks for sample in manifest.samples] == [
        (root / "masks/soft.png",),
        (root.parent / "hard/08_left.png",),
    ]
    assert "left out 1 images" in caplog.text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["007_left,0,train", "007_left,1,train"], "image 007_left has label '0' and '1'; keep one."),
        (["007_left,0,train", "007_left,0,test"], "image 007_left is in two splits, train and test; keep one."),
        (["007_left,0,dev"], "split 'dev' is none of train, val, test; correct it or leave it empty."),
    ],
)
def test_rows_that_contradict_each_other_are_named(root: Path, rows: list[str], message: str) -> None:
    csv = table(root, "index.csv", "image,label,split", *rows)
    with pytest.raises(DataError) as caught:
        prepare_csv(root, root.parent / "m.csv", csv=csv, columns=Columns(split_column="split"))
    assert str(caught.value) == f"{csv}: {message}"


def test_settings_that_contradict_each_other(root: Path) -> None:
    csv = table(root, "index.csv", "image,label", "007_left,0")
    with pytest.raises(ConfigError, match=r"^Name either one table with --csv or one per split with --train_csv"):
        prepare_csv(root)
    with pytest.raises(ConfigError, match=r"^Name either one table with --csv or one per split with --train_csv"):
        prepare_csv(root, csv=csv, test_csv=csv)
    with pytest.raises(ConfigError, match=r"^--annotations_csv needs --box_columns or --point_columns"):
        prepare_csv(root, csv=csv, annotations_csv=csv)
    with pytest.raises(ConfigError, match=r"^--box_columns x,y must name 4 columns\.$"):
        Columns(box_columns=("x", "y"))


def test_a_leak_between_the_tables_is_refused(root: Path) -> None:
    train = table(root, "train.csv", "image,label,patient", "007_left,0,7")
    test = table(root, "test.csv", "image,label,patient", "007_right,0,7")
    with pytest.raises(DataError, match=r"^patient '7' is in two splits, train \(007_left\.png\) and test"):
        prepare_csv(root, train_csv=train, test_csv=test, columns=Columns(patient_column="patient"))


def test_the_real_eyepacs_index_keeps_the_published_split(real_data: Path, tmp_path: Path) -> None:
    manifest = prepare_csv(
        real_data / "eyepacs-dr/images",
        tmp_path / "m.csv",
        csv=real_data / "eyepacs-dr/index.csv",
        columns=Columns("filename", "level", "patient_id", "split"),
        positive_from=1,
    )
    assert [len(manifest.select(split)) for split in Split] == [1189, 343, 539]


def test_the_real_boxes_lie_in_their_images(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "nih-pneumonia"
    manifest = prepare_csv(
        folder / "images",
        tmp_path / "m.csv",
        csv=folder / "index.csv",
        annotations_csv=folder / "boxes.csv",
        columns=Columns("filename", "nih_label", "patient_id", "split", box_columns=("x", "y", "width", "height")),
    )
    assert manifest.classes == ("No Finding", "Pneumonia")
    drawn = [sample.annotations.boxes for sample in manifest.samples if sample.annotations]
    assert (len(drawn), sum(map(len, drawn))) == (93, 148)
