"""Which files ``softcam explain`` goes through, and what the results of each are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from softcam.data.images import IMAGE_SUFFIXES, find_images
from softcam.errors import ConfigError, DataError


@dataclass(frozen=True)
class Source:
    """An image to explain.

    Attributes:
        index: Its place among the images of the call.
        path: Its file.
        name: What its results are called, relative to the folder of results and without suffix.
    """

    index: int
    path: Path
    name: Path

    def result(self, out: Path, suffix: str) -> Path:
        """Return the path of a result in ``out``; unlike `Path.with_suffix` it leaves dots in the name alone."""
        return out / self.name.parent / f"{self.name.name}{suffix}"


@dataclass(frozen=True)
class Failure:
    """A file that could not be explained.

    Attributes:
        path: The file, or the folder in which there was none.
        reason: One sentence.
    """

    path: Path
    reason: str


def list_sources(paths: Iterable[Path], out: Path) -> tuple[list[Source], list[Failure]]:
    """List the images in files and folders.

    Results are named after their files, within a folder also after the folders below it. Where that would give two
    the same name, such as ``left/eye.png`` and ``right/eye.png``, the second becomes ``eye-2``.

    Args:
        paths: Files and folders. A file that is listed twice is taken once.
        out: The folder of the results.

    Returns:
        The images, and the paths at which there is none.

    Raises:
        ConfigError: An image lies in ``out``, where results might replace it or be taken for images.
    """
    found: dict[Path, tuple[Path, Path]] = {}  # by absolute path: the path as given, and within its folder
    failures: list[Failure] = []
    for path in paths:
        try:
            images = find_images(path)
        except DataError as error:
            failures.append(Failure(path, str(error)))
            continue
        root = path if path.is_dir() else path.parent
        for image in images:
            found.setdefault(image.absolute(), (image, image.relative_to(root)))
    _check_outside(found, out)
    names = _distinct(_without_suffix(within) for _, within in found.values())
    pairs = zip(found.values(), names, strict=True)
    return [Source(index, path, name) for index, ((path, _), name) in enumerate(pairs)], failures


def spread_first(sources: Sequence[Source], count: int) -> list[Source]:
    """Return the images in another order: first ``count`` of them, evenly spread over all, then the others."""
    step = max(1.0, len(sources) / count)
    chosen = {int(number * step) for number in range(min(count, len(sources)))}
    return sorted(sources, key=lambda source: source.index not in chosen)


def _check_outside(images: Iterable[Path], out: Path) -> None:
    folder = out.resolve()
    inside = next((image for image in images if folder in image.resolve().parents), None)
    if inside is not None:
        raise ConfigError(f"out is {out}, in which there is the image {inside}; choose a folder outside the images")


def _without_suffix(name: Path) -> Path:
    return name.with_suffix("") if name.suffix.lower() in IMAGE_SUFFIXES else name


def _distinct(names: Iterable[Path]) -> Iterator[Path]:
    taken: set[str] = set()
    for name in names:
        distinct, number = name, 1
        while str(distinct).casefold() in taken:  # some file systems do not tell A from a
            number += 1
            distinct = name.with_name(f"{name.name}-{number}")
        taken.add(str(distinct).casefold())
        yield distinct
