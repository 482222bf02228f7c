"""Any table of images and labels, its columns named by the user."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softcam.data.csv_rows import read_rows
from softcam.data.manifest import Manifest
from softcam.data.manifest_csv import COLUMNS
from softcam.data.sample import Sample, Split
from softcam.data.sources.assemble import ImageIndex, patient_from, write_manifest
from softcam.data.sources.class_folders import SPLIT_NAMES
from softcam.data.sources.drawings import Drawings, Masks
from softcam.data.sources.labels import read_labels
from softcam.data.splits import BY_PATIENT, SplitOptions
from softcam.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

Row = Mapping[str, str]
_Listed = tuple[Row, Split | None]


@dataclass(frozen=True)
class Columns:
    """What the columns of the tables are called.

    Attributes:
        image_column: Name or path of the image below the root; the suffix may be missing or another.
        label_column: Class index or class name; several are joined by ``|``. Rows without one are left out.
        patient_column: Whose image it is.
        split_column: train, val (valid, validation) or test, in any case.
        mask_column: Path of a mask image below the root.
        box_columns: Four columns: left, top, width, height in px of the image file.
        point_columns: Two columns: x, y in px of the image file.
    """

    image_column: str = "image"
    label_column: str = "label"
    patient_column: str | None = None
    split_column: str | None = None
    mask_column: str | None = None
    box_columns: tuple[str, ...] = ()
    point_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, columns, count in (("box", self.box_columns, 4), ("point", self.point_columns, 2)):
            if len(columns) not in (0, count):
                raise ConfigError(f"--{name}_columns {','.join(columns)} must name {count} columns.")

    @property
    def about_images(self) -> tuple[str, ...]:
        """The columns that say something of the image as a whole."""
        optional = (self.patient_column, self.split_column, self.mask_column)
        return (self.image_column, self.label_column, *(name for name in optional if name is not None))

    @property
    def drawn(self) -> tuple[str, ...]:
        """The columns of boxes and points."""
        return (*self.box_columns, *self.point_columns)


def prepare_csv(
    root: Path,
    out: Path = Path("manifest.csv"),
    *,
    csv: Path | None = None,
    train_csv: Path | None = None,
    val_csv: Path | None = None,
    test_csv: Path | None = None,
    annotations_csv: Path | None = None,
    columns: Columns = Columns(),
    classes: tuple[str, ...] | None = None,
    positive_from: int | None = None,
    patient_regex: str | None = None,
    mask_folders: tuple[Path, ...] = (),
    skip_missing: bool = False,
    split: SplitOptions = BY_PATIENT,
) -> Manifest:
    """Prepare images that a table lists: one table, or one for each split.

    A table may list an image several times, once for each box or point. Columns that have no meaning here are
    kept in the manifest.

    Args:
        root: The folder of the images.
        out: The manifest to write.
        csv: The table of images.
        train_csv: In place of csv: the table of the training images.
        val_csv: The table of the validation images.
        test_csv: The table of the test images.
        annotations_csv: A table of boxes or points, one per row, that names images as the other tables do.
            Without it, boxes and points are looked for in the tables of images.
        columns: What the columns are called.
        classes: With numbers for labels: what they are called. With names for labels: the classes in the
            order of their indices, others are left out. Without it, all, the healthy one first.
        positive_from: Make two classes of numbers, below this number (class 0) and from it on (class 1).
        patient_regex: In place of a patient column: regular expression for the image column; its first group
            is the patient. Without either, every image is its own patient.
        mask_folders: Folders with mask images that have the names of their images.
        skip_missing: Leave out images that a table lists but the folder lacks.
        split: How to split by patient where the tables do not say.

    Returns:
        The manifest.

    Raises:
        ConfigError: If the settings contradict each other.
        DataError: If a file or column is missing, or the tables tell something that cannot be.

    Example:
        softcam prepare csv images --csv index.csv --image_column file --label_column grade --positive_from 1
    """
    tables = _tables(csv, {Split.TRAIN: train_csv, Split.VAL: val_csv, Split.TEST: test_csv})
    source = str(tables[0][0])
    rows = _read(tables, columns, annotations_csv is None)
    listed = _one_per_image(rows, columns, source)
    cells = [row[columns.label_column] for row, _ in listed.values()]
    labels, names = read_labels(cells, classes, positive_from, source)
    listed = _labelled(listed, labels, columns)
    images = ImageIndex(root).locate(listed, skip_missing)
    drawings = _drawings(rows, columns, annotations_csv, source)
    masks = Masks(mask_folders)
    samples = [
        Sample(
            image=images[name],
            labels=labels[row[columns.label_column]],
            patient=_patient(row, columns, patient_regex),
            split=given,
            annotations=drawings.of(name, (*_mask(row, columns, root), *masks.of(images[name]))),
            extra=_extra(row, columns, keep_label=positive_from is not None),
        )
        for name, (row, given) in listed.items()
        if name in images
    ]
    masks.check_used(sample.annotations for sample in samples)
    return write_manifest(samples, names, out, split)


def _tables(csv: Path | None, by_split: Mapping[Split, Path | None]) -> list[tuple[Path, Split | None]]:
    several: list[tuple[Path, Split | None]] = [(path, split) for split, path in by_split.items() if path is not None]
    if (csv is None) == (not several):
        raise ConfigError("Name either one table with --csv or one per split with --train_csv, --val_csv, --test_csv.")
    return several if csv is None else [(csv, None)]


def _read(tables: Sequence[tuple[Path, Split | None]], columns: Columns, drawn: bool) -> list[_Listed]:
    """All rows of all tables, each with its split."""
    needed = (*columns.about_images, *(columns.drawn if drawn else ()))
    return [(row, split or _split(row, columns, path)) for path, split in tables for _, row in read_rows(path, needed)]


def _split(row: Row, columns: Columns, path: Path) -> Split | None:
    cell = row[columns.split_column].strip().lower() if columns.split_column else ""
    if cell and cell not in SPLIT_NAMES:
        raise DataError(f"{path}: split {cell!r} is none of train, val, test; correct it or leave it empty.")
    return SPLIT_NAMES[cell] if cell else None


def _one_per_image(rows: Sequence[_Listed], columns: Columns, source: str) -> dict[str, _Listed]:
    """The first row of every image, whose other rows must agree with it."""
    listed: dict[str, _Listed] = {}
    for row, split in rows:
        name = row[columns.image_column]
        first, first_split = listed.setdefault(name, (row, split))
        if split != first_split:
            raise DataError(f"{source}: image {name} is in two splits, {first_split} and {split}; keep one.")
        for column in columns.about_images:
            if row[column] != first[column]:
                raise DataError(f"{source}: image {name} has {column} {first[column]!r} and {row[column]!r}; keep one.")
    return listed


def _labelled(
    listed: Mapping[str, _Listed], labels: Mapping[str, tuple[int, ...]], columns: Columns
) -> dict[str, _Listed]:
    kept = {name: item for name, item in listed.items() if item[0][columns.label_column] in labels}
    if len(kept) < len(listed):
        logger.warning("left out %d images without a label that is wanted", len(listed) - len(kept))
    return kept


def _drawings(rows: Sequence[_Listed], columns: Columns, annotations_csv: Path | None, source: str) -> Drawings:
    table: Iterable[Row] = (row for row, _ in rows)
    if annotations_csv is not None:
        if not columns.drawn:
            raise ConfigError("--annotations_csv needs --box_columns or --point_columns to say what it holds.")
        source = str(annotations_csv)
        table = (row for _, row in read_rows(annotations_csv, (columns.image_column, *columns.drawn)))
    return Drawings(table, columns.image_column, columns.box_columns, columns.point_columns, source)


def _patient(row: Row, columns: Columns, pattern: str | None) -> str:
    name = row[columns.image_column]
    if columns.patient_column:
        return row[columns.patient_column] or name
    return patient_from(name, pattern) if pattern else name


def _mask(row: Row, columns: Columns, root: Path) -> tuple[Path, ...]:
    cell = row[columns.mask_column] if columns.mask_column else ""
    return (root / cell,) if cell else ()


def _extra(row: Row, columns: Columns, keep_label: bool) -> dict[str, str]:
    """The other columns, renamed where the manifest has one of that name."""
    used = {*columns.about_images, *columns.drawn} - ({columns.label_column} if keep_label else set())
    return {f"source_{name}" if name in COLUMNS else name: value for name, value in row.items() if name not in used}
