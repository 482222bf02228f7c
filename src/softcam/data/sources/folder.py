"""Any set of images sorted into one folder per class."""

from __future__ import annotations

from pathlib import Path

from softcam.data.manifest import Manifest
from softcam.data.sources.assemble import patient_from, write_manifest
from softcam.data.sources.class_folders import FoundImage, samples_of, scan_class_folders
from softcam.data.sources.labels import class_indices
from softcam.data.splits import BY_PATIENT, SplitOptions
from softcam.errors import ConfigError


def prepare_folder(
    root: Path,
    out: Path = Path("manifest.csv"),
    *,
    classes: tuple[str, ...] | None = None,
    label: str | None = None,
    patient_regex: str | None = None,
    mask_folders: tuple[Path, ...] = (),
    split: SplitOptions = BY_PATIENT,
) -> Manifest:
    """Prepare images that are sorted into class folders, ROOT/CLASS/... or ROOT/SPLIT/CLASS/...

    Split folders are called train, val (or valid, validation) and test; their splits are kept. A folder whose
    images all belong to one class needs no class folders but --label.

    Args:
        root: The folder of the class or split folders.
        out: The manifest to write.
        classes: The classes in the order of their indices; class folders that it does not name are left out.
            Without it all are taken, the one called normal, healthy or negative first, the rest by name.
        label: The class of all images below the root.
        patient_regex: Regular expression for the path below the root; its first group is the patient.
            Without it, every image is its own patient.
        mask_folders: Folders with mask images that have the names of their images, one folder per kind of
            lesion; an image may lack some or all of its masks.
        split: How to split by patient where there are no split folders.

    Returns:
        The manifest.

    Raises:
        ConfigError: If the label is none of the classes, or the pattern is no regular expression.
        DataError: If there are no images, or a class is not there.

    Example:
        softcam prepare folder scans --classes healthy,drusen --patient_regex '/(P[0-9]+)_' --out scans.csv
    """
    if label is None:
        found = scan_class_folders(root)
        indices = class_indices({image.class_name for image in found}, classes, str(root))
    else:
        found = _all_of_one_class(root, label)
        indices = {name: index for index, name in enumerate(classes or (label,))}
        if label not in indices:
            raise ConfigError(f"Label {label!r} is none of the classes {', '.join(indices)}.")

    def patient(image: FoundImage) -> str:
        return patient_from(image.name, patient_regex) if patient_regex else image.name

    return write_manifest(samples_of(found, indices, patient, mask_folders), tuple(indices), out, split)


def _all_of_one_class(root: Path, label: str) -> list[FoundImage]:
    from softcam.data.images import find_images  # here, because it needs torch

    return [FoundImage(path, path.relative_to(root).as_posix(), label) for path in find_images(root)]
