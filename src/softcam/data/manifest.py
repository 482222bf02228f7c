"""The one table all data sets become: image, label(s), patient, split, annotations.

A manifest is a CSV file (UTF-8) with a header and one row per image:

==============  =====================================================================================
column          meaning
==============  =====================================================================================
``image``       path, absolute or relative to the folder of the CSV file (required)
``label``       class index; several are joined by ``|``; empty: none of the classes (required)
``class_name``  the names of these classes, in the same order, so that the numbers explain themselves
``patient``     whose image it is; empty: the image is its own patient
``split``       ``train``, ``val``, ``test`` or empty
``boxes``       JSON, ``[[x, y, width, height], ...]`` in pixels of the image file
``points``      JSON, ``[[x, y], ...]``
``masks``       paths of mask images, joined by ``|``, relative like ``image``
``classes``     all class names joined by ``|``; written only where the rows do not name every class
any other       kept as it is
==============  =====================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from softcam.data.manifest_csv import JOIN, absolute, read_table, write_table
from softcam.data.sample import Annotations, Box, Point, Sample, Split
from softcam.data.splits import check_no_leak
from softcam.errors import DataError

__all__ = ["Annotations", "Box", "Manifest", "Point", "Sample", "Split"]


@dataclass(frozen=True)
class Manifest:
    """Images with their labels, patients, splits and annotations, and the names of the classes.

    Attributes:
        samples: The images.
        classes: Class names; the position is the class index.
        path: The CSV file it was read from or written to, if any.

    Raises:
        DataError: If an image is listed twice, a label is no index into ``classes``, two classes share a
            name, or a patient is in two splits.
    """

    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    path: Path | None = None

    def __post_init__(self) -> None:
        source = str(self.path or "manifest")
        _check_classes(self.classes, source)
        _check_labels(self.samples, self.classes, source)
        _check_unique(self.samples, source)
        try:
            check_no_leak(self.samples)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """All patients, sorted, each once."""
        return tuple(sorted({sample.patient for sample in self.samples}))

    @property
    def multilabel(self) -> bool:
        """Whether some image has several labels or none."""
        return any(len(sample.labels) != 1 for sample in self.samples)

    def select(self, split: Split | None = None, where: Callable[[Sample], bool] | None = None) -> Manifest:
        """Keep the images of one split, those that fulfil a condition, or both.

        Args:
            split: The split to keep; None keeps all.
            where: Called with each sample; those it is true for are kept.

        Returns:
            A manifest of the same classes, perhaps empty.
        """
        kept = tuple(
            sample
            for sample in self.samples
            if (split is None or sample.split == split) and (where is None or where(sample))
        )
        return replace(self, samples=kept)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count images per split and class.

        Returns:
            Split (``"none"`` where there is none) to class name to number of images; an image with several
            labels counts for each of them, one without labels for none.
        """
        tally = Counter((sample.split, label) for sample in self.samples for label in sample.labels)
        splits = [split for split in (*Split, None) if any(sample.split == split for sample in self.samples)]
        return {
            str(split or "none"): {name: tally[split, index] for index, name in enumerate(self.classes)}
            for split in splits
        }

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """Read a manifest.

        Args:
            path: The CSV file.

        Returns:
            The manifest, with absolute image and mask paths. Whether the images exist is not looked at
            here, see `check_images`.

        Raises:
            DataError: If the file is missing or says something that cannot be; the message names the file,
                the line and the value.
        """
        path = Path(path)
        samples, classes = read_table(path)
        return cls(tuple(samples), classes, absolute(path))

    def write(self, path: str | Path) -> Manifest:
        """Write the manifest as CSV.

        Paths at most one folder above the CSV file are written relative to it, so that the file can be moved
        together with its images; all others are written absolute.

        Args:
            path: The file to write; an existing one is replaced.

        Returns:
            This manifest, with ``path`` set.

        Raises:
            DataError: If an extra column has the name of one of the manifest's own, or a name contains
                the ``|`` that joins several.
        """
        written = replace(self, path=absolute(path))
        write_table(absolute(path), self.samples, self.classes)
        return written

    def check_images(self) -> None:
        """Check that every image and mask exists and that the annotations lie inside their images.

        Only the headers of annotated images are read.

        Raises:
            DataError: If something is wrong; the message names the first problem and counts the others.
        """
        problems = [problem for sample in self.samples for problem in _image_problems(sample)]
        if problems:
            others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise DataError(problems[0] + others)


def _check_classes(classes: Sequence[str], source: str) -> None:
    for name, count in Counter(classes).items():
        if count > 1:
            raise DataError(f"{source}: {count} classes are called {name!r}; give each its own name.")
        if JOIN in name:
            raise DataError(f"{source}: class name {name!r} contains {JOIN!r}, which joins names; rename it.")


def _check_labels(samples: Sequence[Sample], classes: Sequence[str], source: str) -> None:
    for sample in samples:
        for label in sample.labels:
            if not 0 <= label < len(classes):
                raise DataError(
                    f"{source}: label {label} of {sample.image} is none of the {len(classes)} classes "
                    f"(0 to {len(classes) - 1}); correct the label or name its class."
                )


def _check_unique(samples: Sequence[Sample], source: str) -> None:
    seen: set[Path] = set()
    for sample in samples:
        if sample.image in seen:
            raise DataError(f"{source}: image {sample.image} is listed twice; keep one row per image.")
        seen.add(sample.image)


def _image_problems(sample: Sample) -> Iterator[str]:
    from softcam.data.annotations import annotation_problems  # here, because these need torch
    from softcam.data.images import image_size

    missing = [path for path in (sample.image, *sample.annotations.masks) if not path.is_file()]
    yield from (f"{path} does not exist; restore it or remove it from the manifest." for path in missing)
    if missing or not sample.annotations:
        return
    try:
        height, width = image_size(sample.image)
        sizes = {mask: image_size(mask) for mask in sample.annotations.masks}
    except DataError as error:
        yield str(error)
        return
    yield from annotation_problems(sample, (height, width))
    for mask, size in sizes.items():
        if size != (height, width):
            yield (
                f"{mask} is {size[1]}×{size[0]} px but its image {sample.image} is {width}×{height} px; "
                "a mask must have the size of its image."
            )
