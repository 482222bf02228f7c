"""The RSNA Pneumonia Detection Challenge, as it comes from Kaggle."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from softcam.data.csv_rows import read_rows
from softcam.data.manifest import Manifest
from softcam.data.sample import Annotations, Box, Sample
from softcam.data.sources.assemble import write_manifest
from softcam.data.splits import BY_PATIENT, SplitOptions
from softcam.errors import DataError

_CLASSES = {"Normal": 0, "Lung Opacity": 1}
_LEFT_OUT = "No Lung Opacity / Not Normal"


def prepare_rsna(
    root: Path,
    out: Path = Path("manifest.csv"),
    *,
    mapping: Path | None = None,
    split: SplitOptions = BY_PATIENT,
) -> Manifest:
    """Prepare the RSNA pneumonia challenge: normal against lung opacity, with the radiologists' boxes.

    Reads ``stage_2_train_images/*.dcm``, ``stage_2_train_labels.csv`` and ``stage_2_detailed_class_info.csv``.
    Images that are neither normal nor show an opacity are left out, as published (Djoumessi & Berens 2026).

    The challenge gives every image a "patient" of its own, although many come from the same patients of the
    NIH. RSNA's mapping file tells which; with it, the splits are by real patients.

    Args:
        root: The folder that the Kaggle archive was unpacked to.
        out: The manifest to write.
        mapping: RSNA's ``pneumonia-challenge-dataset-mappings_2018.json``, to know the real patients.
        split: How to split by patient; the challenge has no splits.

    Returns:
        The manifest.

    Raises:
        DataError: If a file is missing or tells something that cannot be.

    Example:
        softcam prepare rsna rsna-pneumonia-detection-challenge --out rsna.csv --seed 1
    """
    findings = _findings(root / "stage_2_detailed_class_info.csv")
    boxes = _boxes(root / "stage_2_train_labels.csv")
    patients = {} if mapping is None else _real_patients(mapping)
    samples = [
        Sample(
            image=root / "stage_2_train_images" / f"{name}.dcm",
            labels=(_CLASSES[finding],),
            patient=patients.get(name, name),
            annotations=Annotations(boxes=tuple(boxes[name])),
        )
        for name, finding in findings.items()
    ]
    return write_manifest(samples, tuple(_CLASSES), out, split)


def _findings(path: Path) -> dict[str, str]:
    findings: dict[str, str] = {}
    for line, row in read_rows(path, ("patientId", "class")):
        finding = row["class"]
        if finding in _CLASSES:
            findings[row["patientId"]] = finding
        elif finding != _LEFT_OUT:
            raise DataError(f"{path}, line {line}: class {finding!r} is unknown; use Kaggle's file.")
    return findings


def _boxes(path: Path) -> dict[str, list[Box]]:
    columns = ("x", "y", "width", "height")
    boxes: dict[str, list[Box]] = defaultdict(list)
    for line, row in read_rows(path, ("patientId", *columns, "Target")):
        if row["Target"] != "1":
            continue
        try:
            boxes[row["patientId"]].append(Box(*(float(row[column]) for column in columns)))
        except ValueError:
            raise DataError(f"{path}, line {line}: the box is not four numbers; use Kaggle's file.") from None
    return boxes


def _real_patients(mapping: Path) -> dict[str, str]:
    """Challenge name to NIH patient, who is named by the first eight digits of the NIH file name."""
    try:
        rows = json.loads(mapping.read_text(encoding="utf-8"))
        return {row["subset_img_id"]: row["img_id"].split("_")[0] for row in rows}
    except FileNotFoundError:
        raise DataError(f"Mapping {mapping} does not exist; RSNA publishes it with the challenge data.") from None
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{mapping} is not RSNA's mapping ({error}); each row needs subset_img_id and img_id."
        ) from None
