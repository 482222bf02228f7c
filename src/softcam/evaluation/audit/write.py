"""Audits on disk.

::

    DIR/audit.json     the verdict, and all numbers behind it
    DIR/images.csv     one row per examined image: its properties, and its evidence by region
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from softcam.evaluation.audit.run import Audit
from softcam.evaluation.audit.verdict import CONCENTRATED, CONFOUNDED, FOLLOWED, NOTICED
from softcam.files import atomic_path

AUDIT_FILE, IMAGES_FILE = "audit.json", "images.csv"


def audit_facts(audit: Audit) -> dict[str, Any]:
    """Return the verdict and the numbers behind it, as JSON has them.

    Args:
        audit: The audit.
    """
    facts: dict[str, Any] = {
        "alarm": bool(audit.alarms),
        "manifest": audit.manifest,
        "split": audit.split,
        "images": len(audit.predictions),
        "trained_on": audit.trained_on,
        "thresholds": {
            "confounded": CONFOUNDED,
            "concentrated": CONCENTRATED,
            "noticed": NOTICED,
            "followed": FOLLOWED,
        },
        "findings": [asdict(each) for each in audit.findings],
        "properties": [{**asdict(each), "title": each.title, "kind": each.kind} for each in audit.associations],
        "places": [asdict(each) for each in audit.places],
        "most_outside": [asdict(each) for each in audit.worst],
        "notes": audit.notes,
    }
    plain: dict[str, Any] = _finite(facts)
    return plain


def write_audit(audit: Audit, directory: str | Path) -> None:
    """Write ``audit.json`` and ``images.csv`` into a folder.

    Args:
        audit: The audit.
        directory: The folder; it is created where it is missing.
    """
    with atomic_path(Path(directory) / AUDIT_FILE) as path:
        path.write_text(json.dumps(audit_facts(audit), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    predictions = audit.predictions
    columns = {**audit.properties, **predictions.scores}
    with (
        atomic_path(Path(directory) / IMAGES_FILE) as path,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["image", "patient", *columns])
        for index, image in enumerate(predictions.images):
            cells = (f"{column[index]:.6g}" for column in columns.values())
            writer.writerow([image, predictions.patients[index], *("" if cell == "nan" else cell for cell in cells)])


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
