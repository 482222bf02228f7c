"""The EyePACS fundus photographs of Kaggle's Diabetic Retinopathy Detection challenge."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from softcam.data.csv_rows import read_rows
from softcam.data.manifest import Manifest
from softcam.data.sample import Sample
from softcam.data.sources.assemble import ImageIndex, write_manifest
from softcam.data.splits import BY_PATIENT, SplitOptions
from softcam.errors import ConfigError, DataError

GRADES = ("no DR", "mild", "moderate", "severe", "proliferative")
"""Grades of diabetic retinopathy 0 to 4 (International Clinical Diabetic Retinopathy scale)."""

_EYE = re.compile(r"(\d+)_(left|right)")


class Grading(StrEnum):
    """What is to be told apart."""

    BINARY = "binary"
    GRADES = "grades"


def prepare_eyepacs(
    root: Path,
    out: Path = Path("manifest.csv"),
    *,
    grading: Grading = Grading.BINARY,
    images_out: Path | None = None,
    crop: bool = False,
    contrast: bool = False,
    size: int = 512,
    skip_missing: bool = False,
    split: SplitOptions = BY_PATIENT,
) -> Manifest:
    """Prepare the EyePACS fundus photographs: healthy against diabetic retinopathy, or the five grades.

    Reads ``trainLabels.csv`` (image, level) and the images in whatever folder below the root. The patient is
    the number in the file name (``10003_left``), the eye and grade become extra columns.

    With --images_out, processed copies (PNG) are written there and listed in place of the originals: --crop
    cuts to the square around the retina's circle, --contrast subtracts the local average colour, which evens
    out lighting and camera; both are scaled to --size.

    Args:
        root: The folder with the table and the images.
        out: The manifest to write.
        grading: ``binary``, grade 0 against 1 to 4, or ``grades``, all five.
        images_out: Folder for processed copies of the images.
        crop: Cut the copies to the retina.
        contrast: Subtract the local average from the copies.
        size: Longer side of the copies in px.
        skip_missing: Leave out the images that the table lists but the folder lacks.
        split: How to split by patient.

    Returns:
        The manifest.

    Raises:
        ConfigError: If copies are asked for without a folder for them, or a folder without a change to make.
        DataError: If a file is missing or tells something that cannot be.

    Example:
        softcam prepare eyepacs diabetic-retinopathy --images_out dr-512 --crop --out dr-512/manifest.csv
    """
    if (crop or contrast) != (images_out is not None):
        raise ConfigError("Processed copies need --images_out FOLDER and at least one of --crop and --contrast.")
    table = root / "trainLabels.csv"
    levels = {row["image"]: _level(row, f"{table}, line {line}") for line, row in read_rows(table, ("image", "level"))}
    images = ImageIndex(root, leave_out=images_out).locate(levels, skip_missing)
    samples = [_sample(path, name, levels[name], grading) for name, path in images.items()]
    if images_out is not None:
        samples = _processed(samples, images_out, size, crop, contrast)
    classes = GRADES if grading is Grading.GRADES else (GRADES[0], "DR")
    return write_manifest(samples, classes, out, split)


def _processed(samples: Sequence[Sample], folder: Path, size: int, crop: bool, contrast: bool) -> list[Sample]:
    from softcam.data.retina import RetinaProcessing, process_images  # here, because they need torch

    processing = RetinaProcessing(size, crop, contrast)
    copies = process_images([sample.image for sample in samples], folder, processing)
    return [replace(sample, image=copies[sample.image]) for sample in samples if sample.image in copies]


def _level(row: Mapping[str, str], where: str) -> int:
    """Check a row and read its grade."""
    if _EYE.fullmatch(row["image"]) is None:
        raise DataError(f"{where}: image {row['image']!r} is not PATIENT_left or PATIENT_right; use Kaggle's file.")
    if row["level"] not in map(str, range(len(GRADES))):
        raise DataError(f"{where}: level {row['level']!r} is no grade from 0 to 4; use Kaggle's file.")
    return int(row["level"])


def _sample(image: Path, name: str, level: int, grading: Grading) -> Sample:
    patient, eye = name.split("_")
    label = level if grading is Grading.GRADES else int(level > 0)
    return Sample(image, (label,), patient, extra={"eye": eye, "grade": str(level)})
