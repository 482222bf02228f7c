"""The NIH ChestX-ray14 collection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from softcam.data.csv_rows import read_rows
from softcam.data.manifest import Manifest
from softcam.data.sample import Annotations, Box, Sample, Split
from softcam.data.sources.assemble import ImageIndex, write_manifest
from softcam.data.splits import BY_PATIENT, SplitOptions
from softcam.errors import ConfigError, DataError

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""The fourteen findings, in the order of the publication (Wang et al., CVPR 2017)."""

_NONE = "No Finding"
_BOX_NAMES = {"Infiltrate": "Infiltration"}  # the box table calls this one finding otherwise
_BOX_COLUMNS = ("Bbox [x", "y", "w", "h]")  # the header splits "Bbox [x,y,w,h]" at its commas
_RELEASE_SIZE = 1024  # px, width and height of the released images, in which the boxes are given
_EXTRA = ("Follow-up #", "Patient Age", "Patient Gender", "Patient Sex", "View Position")


def prepare_nih(
    root: Path,
    out: Path = Path("manifest.csv"),
    *,
    finding: str | None = None,
    skip_missing: bool = False,
    split: SplitOptions = BY_PATIENT,
) -> Manifest:
    """Prepare NIH ChestX-ray14: fourteen findings at once, or one against no finding.

    Reads ``Data_Entry_2017*.csv``, the images in whatever folders below the root, and, where they are there,
    the boxes of ``BBox_List_2017.csv`` and the official split of ``train_val_list.txt`` and
    ``test_list.txt``. The boxes are given in the released images of 1024×1024 px; where an annotated image
    has another size, its boxes are scaled to it.

    Age, sex, view and follow-up number are kept as extra columns, and the findings of the boxes as
    ``box_findings``.

    Args:
        root: The folder with the tables and images.
        out: The manifest to write.
        finding: One of the fourteen, such as Pneumonia: its images (class 1) against those without any
            finding (class 0), all others left out. Without it, a multi-label manifest of all fourteen.
        skip_missing: Leave out the images that the table lists but the folder lacks.
        split: How to split by patient where the official split is not there.

    Returns:
        The manifest.

    Raises:
        ConfigError: If the finding is none of the fourteen.
        DataError: If a file is missing or tells something that cannot be.

    Example:
        softcam prepare nih ChestXray14 --finding Pneumonia --out pneumonia.csv
    """
    if finding is not None and finding not in FINDINGS:
        raise ConfigError(f"Finding {finding!r} is none of {', '.join(FINDINGS)}.")
    classes = FINDINGS if finding is None else (_NONE, finding)
    entries = _entries(root, finding)
    images = ImageIndex(root).locate((row["Image Index"] for row in entries), skip_missing)
    boxes = _boxes(root, finding)
    splits = _official_split(root)
    samples = [
        _sample(row, images[row["Image Index"]], classes, boxes, splits)
        for row in entries
        if row["Image Index"] in images
    ]
    return write_manifest(samples, classes, out, split)


def _entries(root: Path, finding: str | None) -> list[dict[str, str]]:
    paths = sorted(root.glob("Data_Entry_2017*.csv"))
    if len(paths) != 1:
        found = "none" if not paths else " and ".join(path.name for path in paths[:2])
        raise DataError(f"{root} needs one table Data_Entry_2017*.csv, but has {found}.")
    entries = []
    for line, row in read_rows(paths[0], ("Image Index", "Finding Labels", "Patient ID")):
        findings = set(row["Finding Labels"].split("|"))
        if unknown := findings - {*FINDINGS, _NONE}:
            raise DataError(f"{paths[0]}, line {line}: finding {min(unknown)!r} is unknown; use the NIH's file.")
        if finding is None or finding in findings or findings == {_NONE}:
            entries.append(row)
    return entries


def _sample(
    row: Mapping[str, str],
    image: Path,
    classes: Sequence[str],
    boxes: Mapping[str, Sequence[tuple[str, Box]]],
    splits: Mapping[str, Split],
) -> Sample:
    name = row["Image Index"]
    findings = row["Finding Labels"].split("|")
    drawn = boxes.get(name, ())
    return Sample(
        image=image,
        labels=tuple(sorted(classes.index(finding) for finding in findings if finding in classes)),
        patient=row["Patient ID"],
        split=splits.get(name),
        annotations=Annotations(boxes=_scaled([box for _, box in drawn], image)),
        extra={column: row[column] for column in _EXTRA if column in row}
        | {"box_findings": "|".join(finding for finding, _ in drawn)},
    )


def _boxes(root: Path, finding: str | None) -> dict[str, list[tuple[str, Box]]]:
    boxes: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    path = root / "BBox_List_2017.csv"
    if not path.is_file():
        return boxes
    for line, row in read_rows(path, ("Image Index", "Finding Label", *_BOX_COLUMNS)):
        name = _BOX_NAMES.get(row["Finding Label"], row["Finding Label"])
        if finding not in (None, name):
            continue
        try:
            boxes[row["Image Index"]].append((name, Box(*(float(row[column]) for column in _BOX_COLUMNS))))
        except ValueError:
            raise DataError(f"{path}, line {line}: the box is not four numbers; use the NIH's file.") from None
    return boxes


def _scaled(boxes: Sequence[Box], image: Path) -> tuple[Box, ...]:
    from softcam.data.images import image_size  # here, because it needs torch

    if not boxes or not image.is_file():
        return tuple(boxes)
    height, width = image_size(image)
    x, y = width / _RELEASE_SIZE, height / _RELEASE_SIZE
    return tuple(Box(box.x * x, box.y * y, box.width * x, box.height * y) for box in boxes)


def _official_split(root: Path) -> dict[str, Split]:
    files = {Split.TRAIN: root / "train_val_list.txt", Split.TEST: root / "test_list.txt"}
    missing = [path for path in files.values() if not path.is_file()]
    if len(missing) == 1:
        raise DataError(f"{missing[0]} is missing but the other half of the official split is there; add it.")
    if missing:
        return {}
    return {name: split for split, path in files.items() for name in path.read_text().split()}
