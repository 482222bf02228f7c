"""Images sorted into one folder per class, with or without split folders above them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softcam.data.sample import Annotations, Sample, Split
from softcam.data.sources.drawings import Masks
from softcam.errors import DataError

SPLIT_NAMES = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "testing": Split.TEST,
}
"""What folders and tables call the splits, in lower case."""


@dataclass(frozen=True)
class FoundImage:
    """An image in a class folder.

    Attributes:
        path: The image.
        name: Its path below the root, with forward slashes.
        class_name: The class folder that it lies in.
        split: The split folder that it lies in, if any.
    """

    path: Path
    name: str
    class_name: str
    split: Split | None = None


def scan_class_folders(root: Path) -> list[FoundImage]:
    """Find the images in ROOT/CLASS/... or ROOT/SPLIT/CLASS/...

    Args:
        root: The folder of the class or split folders.

    Returns:
        The images, sorted by path.

    Raises:
        DataError: If the folder is missing, has no class folders or an empty one, or mixes class and split
            folders.
    """
    folders = _subfolders(root)
    from softcam.data.images import find_images  # here, because it needs torch

    splits = {folder: SPLIT_NAMES[folder.name.lower()] for folder in folders if folder.name.lower() in SPLIT_NAMES}
    if splits and len(splits) < len(folders):
        other = next(folder for folder in folders if folder not in splits)
        raise DataError(f"{root} has split folders beside {other.name!r}; move or remove what is no split.")
    parents: Mapping[Path, Split | None] = splits or {root: None}
    found = [
        FoundImage(path, path.relative_to(root).as_posix(), folder.name, split)
        for parent, split in parents.items()
        for folder in _subfolders(parent)
        for path in find_images(folder)
    ]
    if not found:
        raise DataError(f"{root} has no class folders with images; sort them as {root.name}/CLASS/IMAGE.")
    return found


def samples_of(
    found: Sequence[FoundImage],
    indices: Mapping[str, int],
    patient: Callable[[FoundImage], str],
    mask_folders: Iterable[Path] = (),
) -> list[Sample]:
    """Turn images in class folders into samples.

    Args:
        found: The images.
        indices: Class name to index; images of other classes are left out.
        patient: Whose image it is.
        mask_folders: Folders with masks that have the names of their images.

    Returns:
        The samples.

    Raises:
        DataError: If none of the images has a mask although there are mask folders.
    """
    masks = Masks(mask_folders)
    samples = [
        Sample(
            image=image.path,
            labels=(indices[image.class_name],),
            patient=patient(image),
            split=image.split,
            annotations=Annotations(masks=masks.of(image.path)),
        )
        for image in found
        if image.class_name in indices
    ]
    masks.check_used(sample.annotations for sample in samples)
    return samples


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"Folder {folder} does not exist; check the path.")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
