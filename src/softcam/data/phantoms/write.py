"""Phantoms on disk: a folder of images and masks with its manifest."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

import softcam
from softcam.data.manifest import Manifest
from softcam.data.phantoms.make import make_phantom
from softcam.data.phantoms.options import PhantomOptions
from softcam.data.sample import Annotations, Sample
from softcam.data.splits import split_by_patient
from softcam.errors import ConfigError, DataError
from softcam.files import atomic_directory

CLASSES = ("healthy", "diseased")
PROVENANCE = "phantoms.json"
"""File that says how a folder of phantoms was made, and that it is one and may be replaced."""

_CHUNK = 8  # phantoms that a worker takes at once
_COMPRESSION = 1  # of 9: noise hardly compresses, more only costs time


@dataclass(frozen=True)
class _Written:
    image: str
    mask: str | None
    label: int
    lesions: tuple[str, ...]
    marker: bool


def write_phantoms(
    options: PhantomOptions,
    count: int,
    directory: str | Path,
    seed: int = 0,
    workers: int | None = None,
    fractions: tuple[float, float, float] = (0.6, 0.15, 0.25),
) -> Manifest:
    """Write a data set of phantoms: ``images/``, ``masks/``, ``manifest.csv`` and ``phantoms.json``.

    The folder appears as a whole or not at all. Every image is a patient of its own. The manifest's extra
    columns are ``lesions`` (the kinds in the image, joined by ``+``) and ``marker`` (1 where the planted
    shortcut was drawn). The bytes do not depend on the number of workers.

    Args:
        options: What the phantoms look like.
        count: How many.
        directory: The folder to write. One that holds phantoms already is replaced.
        seed: Another seed, other patients.
        workers: Processes to draw with; None for one per CPU core. A script that asks for more than one needs
            ``if __name__ == "__main__":`` where the platform starts processes afresh (macOS, Windows).
        fractions: Shares of train, val and test, within each label.

    Returns:
        The manifest, as read from the folder.

    Raises:
        ConfigError: If count, seed, workers or fractions are out of range.
        DataError: If the folder exists and holds something else.
    """
    if count < 1:
        raise ConfigError(f"phantom count is {count}; give 1 or more.")
    if seed < 0:
        raise ConfigError(f"phantom seed is {seed}; give 0 or more.")
    directory = Path(directory).absolute()
    _check_replaceable(directory)
    with atomic_directory(directory) as folder:
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        written = _write_images(options, count, folder, seed, _worker_count(workers, count))
        samples = [_sample(item, folder) for item in written]
        Manifest(split_by_patient(samples, fractions, seed), CLASSES).write(folder / "manifest.csv")
        facts = {"softcam": softcam.__version__, "count": count, "seed": seed, **asdict(options)}
        (folder / PROVENANCE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return Manifest.read(directory / "manifest.csv")


def _check_replaceable(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise DataError(f"{directory} is a file; name a folder for the phantoms.")
    if any(directory.iterdir()) and not (directory / PROVENANCE).is_file():
        raise DataError(f"{directory} holds files that are not phantoms; name a new folder, it would be replaced.")


def _worker_count(workers: int | None, count: int) -> int:
    if workers is None:
        return min(os.cpu_count() or 1, math.ceil(count / _CHUNK))
    if workers < 1:
        raise ConfigError(f"phantom workers is {workers}; give 1 or more.")
    return workers


def _write_images(options: PhantomOptions, count: int, folder: Path, seed: int, workers: int) -> list[_Written]:
    write = partial(_write_one, options, seed, folder)
    progress = partial(tqdm, total=count, desc=f"{options.kind} phantoms", unit="image", disable=None)
    if workers == 1:
        return list(progress(map(write, range(count))))
    with _pool(workers) as pool:
        return list(progress(pool.map(write, range(count), chunksize=_CHUNK)))


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A process pool that drops what is queued when the block fails, Ctrl-C included."""
    pool = ProcessPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _write_one(options: PhantomOptions, seed: int, folder: Path, index: int) -> _Written:
    phantom = make_phantom(options, seed, index)
    name = f"{options.kind}-{seed}-{index:06d}.png"
    _save(phantom.pixels, folder / "images" / name)
    if phantom.label:
        _save(phantom.mask.astype(np.uint8) * 255, folder / "masks" / name)
    mask = name if phantom.label else None
    return _Written(name, mask, phantom.label, tuple(phantom.lesions), bool(phantom.marker.any()))


def _save(pixels: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=_COMPRESSION)


def _sample(item: _Written, folder: Path) -> Sample:
    masks = (folder / "masks" / item.mask,) if item.mask else ()
    return Sample(
        image=folder / "images" / item.image,
        labels=(item.label,),
        patient=Path(item.image).stem,
        annotations=Annotations(masks=masks),
        extra={"lesions": "+".join(item.lesions), "marker": str(int(item.marker))},
    )
