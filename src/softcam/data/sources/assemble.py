"""What the sources share: reading their tables, finding their images, writing the manifest."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from softcam.data.manifest import Manifest
from softcam.data.sample import Sample
from softcam.data.splits import SplitOptions
from softcam.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


class ImageIndex:
    """Finds the images below a folder by name, in whatever subfolder and format they are.

    Args:
        root: The folder to look in.
        leave_out: A folder in it not to look in, because it is about to be written.
    """

    def __init__(self, root: Path, leave_out: Path | None = None) -> None:
        from softcam.data.images import find_images  # here, because it needs torch

        self.root = root
        self._by_key: dict[str, list[Path]] = defaultdict(list)
        for path in find_images(root):
            if leave_out is None or leave_out.absolute() not in path.absolute().parents:
                self._by_key[_key(path.name)].append(path)

    def find(self, name: str) -> Path | None:
        """Find an image.

        Args:
            name: Path below the root, or file name with or without a suffix; an image of the same name but
                another format or folder counts.

        Returns:
            The path, or None where there is none.

        Raises:
            DataError: If several images have this name.
        """
        if (self.root / name).is_file():
            return self.root / name
        paths = self._by_key.get(_key(Path(name).name), [])
        exact = [path for path in paths if path.name == Path(name).name] or paths
        if len(exact) > 1:
            raise DataError(f"{exact[0]} and {exact[1]} have the same name; keep one of them below {self.root}.")
        return exact[0] if exact else None

    def locate(self, names: Iterable[str], skip_missing: bool) -> dict[str, Path]:
        """Find many images.

        Args:
            names: File names.
            skip_missing: Leave out those that are not there, and say how many.

        Returns:
            Name to path.

        Raises:
            DataError: If an image is missing and ``skip_missing`` is false, or all are.
        """
        found = {name: self.find(name) for name in dict.fromkeys(names)}
        missing = [name for name, path in found.items() if path is None]
        if missing and (not skip_missing or len(missing) == len(found)):
            mend = "check the folder" if len(missing) == len(found) else "complete it or pass --skip_missing"
            raise DataError(
                f"Image {missing[0]} is not below {self.root} ({len(missing)} of {len(found)} are missing); {mend}."
            )
        if missing:
            logger.warning("left out %d images that are not below %s", len(missing), self.root)
        return {name: path for name, path in found.items() if path is not None}


def patient_from(name: str, pattern: str) -> str:
    """Read the patient out of a file name.

    Args:
        name: The file name, or a path below the root.
        pattern: Regular expression; its first group is the patient, without a group all that matches.

    Returns:
        The patient.

    Raises:
        ConfigError: If the pattern is no regular expression.
        DataError: If it does not match.
    """
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise ConfigError(f"Patient pattern {pattern!r} is not a regular expression: {error}.") from None
    if match is None:
        raise DataError(f"The patient pattern {pattern!r} does not match {name}; widen it.")
    return match[1] if match.re.groups else match[0]


def write_manifest(samples: Sequence[Sample], classes: Sequence[str], out: Path, split: SplitOptions) -> Manifest:
    """Split the samples, check their images, and write the manifest.

    Args:
        samples: The images.
        classes: Class names in the order of their indices.
        out: The CSV file to write.
        split: How to split them.

    Returns:
        The manifest that was written.

    Raises:
        DataError: If an image is missing, an annotation lies outside its image, or a patient is in two splits.
    """
    manifest = Manifest(split.apply(samples), tuple(classes))
    manifest.check_images()
    return manifest.write(out)


def _key(name: str) -> str:
    from softcam.data.images import IMAGE_SUFFIXES  # here, because it needs torch

    path = Path(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
