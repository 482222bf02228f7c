from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st
from PIL import Image

from softcam.data.manifest import Annotations, Box, Manifest, Point, Sample, Split
from softcam.errors import DataError

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=8)
NAMES = st.text(st.characters(whitelist_categories=["L", "N"], whitelist_characters=" _-,"), min_size=1, max_size=8)
SIDES = st.floats(0.01, 1e4)
OFFSETS = st.floats(-1, 1e4)
DRAWN = st.builds(
    Annotations,
    boxes=st.lists(st.builds(Box, OFFSETS, OFFSETS, SIDES, SIDES), max_size=2).map(tuple),
    points=st.lists(st.builds(Point, OFFSETS, OFFSETS), max_size=2).map(tuple),
    masks=st.lists(NAMES.map(lambda name: Path("/masks") / name), max_size=2).map(tuple),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    classes = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    columns = draw(st.lists(NAMES.map(lambda name: f"x{name}"), max_size=2, unique=True))
    names = draw(st.lists(NAMES.filter(lambda name: name.strip("-")), min_size=1, max_size=6, unique=True))
    splits = draw(st.dictionaries(st.sampled_from(["007", "08", "Ä"]), st.sampled_from([*Split, None]), min_size=1))
    samples = []
    for name in names:
        patient = draw(st.sampled_from(sorted(splits)))
        samples.append(
            Sample(
                image=Path("/images") / name,
                labels=tuple(sorted(draw(st.sets(st.integers(0, len(classes) - 1))))),
                patient=patient,
                split=splits[patient],
                annotations=draw(DRAWN),
                extra={column: draw(TEXT) for column in columns},
            )
        )
    return Manifest(tuple(samples), tuple(classes))


@settings(max_examples=60, deadline=None)
@example(Manifest((Sample(Path("/images/0"), (0,), "007", extra={"x": "\r0"}),), ("a",)))
@given(manifest=manifests())
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> None:
    written = manifest.write(tmp_path_factory.mktemp("round") / "manifest.csv")
    assert written.path is not None
    assert Manifest.read(written.path) == written


def table(folder: Path, *lines: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_and_their_meaning(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "image,label,class_name,patient,split,boxes,points,masks,site",
        'a.png,1|0,DR|healthy,007,train,"[[1, 2.5, 3, 4]]","[[5, 6]]",m/1.png|m/2.png,A',
        "sub/b.png,,,,,,,,B",
    )
    manifest = Manifest.read(path)
    assert manifest.classes == ("healthy", "DR")
    assert manifest.samples == (
        Sample(
            tmp_path / "a.png",
            (0, 1),
            "007",
            Split.TRAIN,
            Annotations((Box(1, 2.5, 3, 4),), (Point(5, 6),), (tmp_path / "m/1.png", tmp_path / "m/2.png")),
            {"site": "A"},
        ),
        Sample(tmp_path / "sub/b.png", (), "sub/b.png", None, Annotations(), {"site": "B"}),
    )
    assert manifest.multilabel
    assert bool(manifest.samples[0].annotations)
    assert not manifest.samples[1].annotations


def test_unnamed_classes_are_called_by_their_number(tmp_path: Path) -> None:
    assert Manifest.read(table(tmp_path, "image,label", "a.png,0", "b.png,2")).classes == ("0", "1", "2")


def test_classes_that_no_image_shows_are_kept(tmp_path: Path) -> None:
    manifest = Manifest((Sample(tmp_path / "a.png", (1,), "p"),), ("healthy", "DR", "other"))
    path = tmp_path / "m.csv"
    manifest.write(path)
    assert Manifest.read(path).classes == ("healthy", "DR", "other")


def test_a_table_with_every_class_has_no_column_for_all(tmp_path: Path) -> None:
    samples = tuple(Sample(tmp_path / f"{label}.png", (label,), str(label)) for label in (0, 1))
    Manifest(samples, ("a", "b")).write(tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text() == ("image,label,class_name,patient,split\n0.png,0,a,0,\n1.png,1,b,1,\n")


@pytest.mark.parametrize(
    ("image", "written"),
    [("set/lists/a.png", "a.png"), ("set/images/a.png", "../images/a.png"), ("other/a.png", None)],
)
def test_paths_are_relative_where_the_images_can_move_along(tmp_path: Path, image: str, written: str | None) -> None:
    Manifest((Sample(tmp_path / image, (0,), "p"),), ("a",)).write(tmp_path / "set/lists/m.csv")
    row = (tmp_path / "set/lists/m.csv").read_text().splitlines()[1]
    assert row.split(",")[0] == (written or str(tmp_path / image))


def test_a_manifest_moves_with_its_images(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    Image.new("L", (4, 4)).save(folder / "images/a.png")
    Manifest((Sample(folder / "images/a.png", (0,), "p"),), ("a",)).write(folder / "lists/m.csv")
    shutil.move(folder, tmp_path / "moved")
    moved = Manifest.read(tmp_path / "moved/lists/m.csv")
    assert moved.samples[0].image == tmp_path / "moved/images/a.png"
    moved.check_images()


def test_relative_paths_do_not_depend_on_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path, "image,label", "a.png,0")
    monkeypatch.chdir(tmp_path)
    manifest = Manifest.read("manifest.csv")
    assert manifest.samples[0].image == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,label", "a.png,x"], "line 2: label 'x' is not a class index; write a whole number from 0 up."),
        (["image,label", "a.png,-1"], "line 2: label '-1' is not a class index; write a whole number from 0 up."),
        (["image,label", "a.png,1.0"], "line 2: label '1.0' is not a class index; write a whole number from 0 up."),
        (["image,label", "a.png,1|1"], "line 2: label '1|1' names a class twice; name it once."),
        (
            ["image,label", "a.png,20051122"],
            "line 2: label '20051122' is too large for a class index; number the classes from 0.",
        ),
        (["image,label", ",0"], "line 2: the image is empty; give its path."),
        (
            ["image,label", "a.png,0", "b.png,0", "./a.png,0"],
            "line 4: image './a.png' is listed on line 2 already; keep one row per image.",
        ),
        (
            ["image,label,class_name", "a.png,1,DR", "b.png,1,healthy"],
            "line 3: class 1 is called 'healthy' here and 'DR' on line 2; use one name.",
        ),
        (
            ["image,label,class_name", "a.png,0|1,DR"],
            "line 2: 1 class names ('DR') for 2 labels; give one each.",
        ),
        (
            ["image,label,split", "a.png,0,dev"],
            "line 2: split 'dev' is none of train, val, test; use one of them or leave it empty.",
        ),
        (
            ["image,label,boxes", 'a.png,0,"[1, 2, 3, 4]"'],
            "line 2: boxes '[1, 2, 3, 4]' are not JSON of the form [[x, y, width, height], ...]; correct them.",
        ),
        (
            ["image,label,boxes", 'a.png,0,"[[1, 2, NaN, 4]]"'],
            "line 2: boxes '[[1, 2, NaN, 4]]' are not JSON of the form [[x, y, width, height], ...]; correct them.",
        ),
        (
            ["image,label,boxes", 'a.png,0,"[[1, 2, 3]]"'],
            "line 2: boxes '[[1, 2, 3]]' need 4 numbers each, [[x, y, width, height], ...]; correct them.",
        ),
        (
            ["image,label,boxes", 'a.png,0,"[[1, 2, 0, 4]]"'],
            "line 2: box [1.0, 2.0, 0.0, 4.0] has no area; width and height must be above 0.",
        ),
        (
            ["image,label,points", "a.png,0,{"],
            "line 2: points '{' are not JSON of the form [[x, y], ...]; correct them.",
        ),
        (
            ["image,label,class_name,classes", "a.png,0,DR,healthy|DR"],
            "line 2: class 0 is called 'DR' but the classes are healthy|DR; use the same names.",
        ),
    ],
)
def test_a_wrong_cell_is_named_by_line_and_value(tmp_path: Path, lines: list[str], message: str) -> None:
    path = table(tmp_path, *lines)
    with pytest.raises(DataError) as caught:
        Manifest.read(path)
    assert str(caught.value) == f"{path}, {message}"


def test_a_patient_in_two_splits_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "image,label,patient,split", "a.png,0,007,train", "b.png,0,007,test")
    with pytest.raises(DataError) as caught:
        Manifest.read(path)
    assert str(caught.value) == (
        f"{path}: patient '007' is in two splits, train (a.png) and test (b.png); keep a patient's images "
        "together, or let `softcam prepare ... --resplit` draw new splits."
    )


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ((2,), ("a", "b"), "manifest: label 2 of /a.png is none of the 2 classes (0 to 1)"),
        ((0,), ("a", "a"), "manifest: 2 classes are called 'a'; give each its own name."),
        ((0,), ("a|b",), "manifest: class name 'a|b' contains '|', which joins names; rename it."),
    ],
)
def test_labels_and_classes_must_fit(labels: tuple[int, ...], classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError) as caught:
        Manifest((Sample(Path("/a.png"), labels, "p"),), classes)
    assert str(caught.value).startswith(message)


def test_an_image_twice_is_refused() -> None:
    sample = Sample(Path("/a.png"), (0,), "p")
    with pytest.raises(DataError, match=r"image /a\.png is listed twice; keep one row per image\.$"):
        Manifest((sample, sample), ("a",))


def test_select_and_counts() -> None:
    manifest = Manifest(
        (
            Sample(Path("/a"), (0,), "1", Split.TRAIN),
            Sample(Path("/b"), (0, 1), "2", Split.TEST, extra={"clean": "1"}),
            Sample(Path("/c"), (), "0"),
        ),
        ("x", "y"),
    )
    assert manifest.patients == ("0", "1", "2")
    assert [each.image.name for each in manifest.select(Split.TRAIN).samples] == ["a"]
    assert [each.image.name for each in manifest.select(where=lambda s: s.extra.get("clean") == "1").samples] == ["b"]
    assert len(manifest.select(Split.VAL)) == 0
    assert manifest.counts() == {
        "train": {"x": 1, "y": 0},
        "test": {"x": 1, "y": 1},
        "none": {"x": 0, "y": 0},
    }


def test_extra_columns_must_not_take_a_name_of_the_manifest(tmp_path: Path) -> None:
    manifest = Manifest((Sample(Path("/a"), (0,), "1", extra={"label": "x"}),), ("a",))
    with pytest.raises(DataError, match="Extra column 'label' has the name of a manifest column; rename it"):
        manifest.write(tmp_path / "m.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("L", (40, 20)).save(tmp_path / "a.png")
    Image.new("L", (20, 40)).save(tmp_path / "turned.png")
    return tmp_path / "a.png"


def check(picture: Path, annotations: Annotations) -> None:
    Manifest((Sample(picture, (0,), "p", None, annotations),), ("a",)).check_images()


def test_annotations_inside_their_image_pass(picture: Path) -> None:
    check(picture, Annotations((Box(0, 0, 40, 20), Box(-0.5, 10, 5, 10.5)), (Point(0, 20),), (picture,)))


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (Annotations((Box(30, 0, 20, 5),)), "Box [30, 0, 20, 5] lies {outside}"),
        (Annotations((Box(0, -3, 20, 5),)), "Box [0, -3, 20, 5] lies {outside}"),
        (Annotations(points=(Point(5, 22),)), "Point [5, 22] lies {outside}"),
        (
            Annotations(masks=(Path("turned.png"),)),
            "{turned} is 20×40 px but its image {a} is 40×20 px; a mask must have the size of its image.",
        ),
        (Annotations(masks=(Path("none.png"),)), "{none} does not exist; restore it or remove it from the manifest."),
    ],
)
def test_annotations_that_do_not_fit_are_named(picture: Path, annotations: Annotations, message: str) -> None:
    folder = picture.parent
    annotations = Annotations(annotations.boxes, annotations.points, tuple(folder / m for m in annotations.masks))
    with pytest.raises(DataError) as caught:
        check(picture, annotations)
    names = {name: folder / f"{name}.png" for name in ("a", "turned", "none")}
    outside = f"outside {names['a']} (40×20 px); correct it or scale it to the image."
    assert str(caught.value) == message.format(**names, outside=outside)


def test_the_first_problem_is_named_and_the_others_counted(tmp_path: Path) -> None:
    samples = tuple(Sample(tmp_path / f"{index}.png", (0,), str(index)) for index in range(3))
    with pytest.raises(DataError) as caught:
        Manifest(samples, ("a",)).check_images()
    assert str(caught.value) == (
        f"{tmp_path / '0.png'} does not exist; restore it or remove it from the manifest. (and 2 more)"
    )


def test_a_broken_annotated_image_is_a_problem_too(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png"):
        check(tmp_path / "a.png", Annotations((Box(0, 0, 1, 1),)))
