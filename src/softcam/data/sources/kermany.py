"""The retinal OCT scans and paediatric chest radiographs of Kermany et al. (Cell, 2018)."""

from __future__ import annotations

import re
from pathlib import Path

from softcam.data.manifest import Manifest
from softcam.data.sources.assemble import write_manifest
from softcam.data.sources.class_folders import FoundImage, samples_of, scan_class_folders
from softcam.data.sources.labels import class_indices
from softcam.data.splits import BY_PATIENT, SplitOptions
from softcam.errors import DataError

_SEVERITY = ("NORMAL", "DRUSEN", "DME", "CNV", "PNEUMONIA")
_PATIENT = re.compile(
    r"""^(?: (?:CNV|DME|DRUSEN|NORMAL|BACTERIA|VIRUS)-(?P<number>\d+)-\d+   # one number whatever the class
           | (?P<person>person\d+)_(?:bacteria|virus)_\d+
           | (?P<study>(?:NORMAL2-)?IM-\d+)-\d+                # NORMAL2- is a series with numbers of its own
        )""",
    re.VERBOSE,
)


def prepare_kermany(
    root: Path,
    out: Path = Path("manifest.csv"),
    *,
    classes: tuple[str, ...] | None = None,
    split: SplitOptions = BY_PATIENT,
) -> Manifest:
    """Prepare the Kermany data, OCT or chest radiographs, with the patient from the file name.

    Reads ROOT/CLASS/*.jpeg or ROOT/train/CLASS/*.jpeg and so on. An OCT number (``CNV-6294785-1.jpeg``) is one
    patient whatever the class; a radiograph belongs to ``person1000`` or, if normal, to ``IM-0115`` or
    ``NORMAL2-IM-0117``.

    Some releases have patients of the training images among their test images. Such a split is refused;
    --resplit draws a new one.

    Args:
        root: The folder of the class or split folders.
        out: The manifest to write.
        classes: The classes in the order of their indices; folders that it does not name are left out.
            Without it all are taken in the order NORMAL, DRUSEN, DME, CNV or NORMAL, PNEUMONIA.
        split: How to split by patient where there are no split folders.

    Returns:
        The manifest.

    Raises:
        DataError: If there are no images, a name does not tell the patient, or a patient is in two splits.

    Example:
        softcam prepare kermany OCT2017 --classes NORMAL,DRUSEN --resplit --out drusen.csv
    """
    found = scan_class_folders(root)
    names = {image.class_name for image in found}
    order = classes or tuple(name for name in _SEVERITY if names.issubset(_SEVERITY) and name in names) or None
    indices = class_indices(names, order, str(root))
    return write_manifest(samples_of(found, indices, kermany_patient), tuple(indices), out, split)


def kermany_patient(image: FoundImage) -> str:
    """Read the patient out of a Kermany file name.

    Args:
        image: The image.

    Returns:
        The number of an OCT scan, or the person or study of a radiograph.

    Raises:
        DataError: If the name follows none of the patterns.
    """
    match = _PATIENT.match(image.path.name)
    if match is None:
        raise DataError(
            f"{image.path} has no patient in its name, as in CNV-6294785-1.jpeg or person1_virus_6.jpeg; "
            "use `softcam prepare folder` for images with other names."
        )
    return match["number"] or match["person"] or match["study"]
