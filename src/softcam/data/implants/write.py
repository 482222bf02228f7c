"""Implants on disk: a folder of healthy and implanted images with masks and a manifest."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F
from tqdm import tqdm

import softcam
from softcam.data.images import match_channels, read_image
from softcam.data.implants.make import CHANNELS, make_implant
from softcam.data.implants.options import ImplantOptions
from softcam.data.manifest import Manifest
from softcam.data.phantoms.canvas import Array
from softcam.data.sample import Annotations, Sample
from softcam.errors import ConfigError, DataError
from softcam.files import atomic_directory

logger = logging.getLogger(__name__)

CLASSES = ("healthy", "diseased")
PROVENANCE = "implants.json"
"""File that says how a folder of implants was made, and that it is one and may be replaced."""


@dataclass(frozen=True)
class _Job:
    """What is to become of one image."""

    sample: Sample
    name: str
    diseased: bool


def write_implants(
    samples: Sequence[Sample],
    options: ImplantOptions,
    directory: str | Path,
    *,
    share: float = 0.5,
    size: int | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> Manifest:
    """Write a data set of real healthy images, a share of them with lesions put in.

    The folder gets ``images/``, ``masks/``, ``manifest.csv`` and ``implants.json``, as a whole or not at all.
    Nothing but the lesions tells the two classes apart: which image gets lesions is drawn within each split
    and patient from names and seed alone, and all images go the same way through decoder, scaling and
    encoder. An image that cannot carry lesions is left out of either class, with a warning. Splits and extra
    columns are kept; new columns are ``lesions`` (the kinds, joined by ``+``) and ``source`` (the file).
    Lesions depend on the seed and the image's name, not on the order of images or the number of workers.

    Args:
        samples: The healthy images.
        options: What to put in.
        directory: The folder to write. One that holds implants already is replaced.
        share: Of the images that get lesions, within every split to within one image.
        size: Longer side to scale images to, in px; None keeps them as they are.
        seed: Another seed, other lesions in other images.
        workers: Threads to draw with; None for one per CPU core.

    Returns:
        The manifest, as read from the folder.

    Raises:
        ConfigError: If share, size, seed or workers are out of range.
        DataError: If the folder exists and holds something else, or no image can be used.
    """
    _check(samples, share, size, seed, workers)
    directory = Path(directory).absolute()
    _check_replaceable(directory)
    names = _names([sample.image for sample in samples])
    diseased = draw_diseased(samples, names, share, seed)
    jobs = [_Job(*job) for job in zip(samples, names, diseased, strict=True)]
    with atomic_directory(directory) as folder:
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        write = partial(_write_one, options, size, seed, folder)
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            written = tqdm(pool.map(write, jobs), f"{options.kind} implants", len(jobs), unit="image", disable=None)
            kept = [sample for sample in written if sample is not None]
        if not kept:
            raise DataError(f"None of the {len(jobs)} images can carry {options.kind} lesions; is that their kind?")
        Manifest(tuple(kept), CLASSES).write(folder / "manifest.csv")
        facts = {"softcam": softcam.__version__, "share": share, "size": size, "seed": seed, **asdict(options)}
        (folder / PROVENANCE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return Manifest.read(directory / "manifest.csv")


def draw_diseased(samples: Sequence[Sample], names: Sequence[str], share: float, seed: int) -> list[bool]:
    """Draw which images get lesions, knowing nothing of what they show.

    Within a split the patients are shuffled, and within a patient the images; along this order the share is
    held to within one image on every stretch, and so in every split and for every patient.

    Args:
        samples: The images.
        names: What to shuffle them by, one name each.
        share: Of images that get lesions.
        seed: Another seed, another draw.

    Returns:
        One bool per image.
    """

    def shuffled(index: int) -> tuple[str, bytes, bytes]:
        sample = samples[index]
        return str(sample.split), _digest(f"{seed}:patient:{sample.patient}"), _digest(f"{seed}:{names[index]}")

    diseased = [False] * len(samples)
    shift = float(np.random.default_rng(seed).uniform())
    for place, index in enumerate(sorted(range(len(samples)), key=shuffled)):
        before, after = (math.floor(round(k * share + shift, 9)) for k in (place, place + 1))
        diseased[index] = after > before
    return diseased


def _names(paths: Iterable[Path]) -> list[str]:
    """A name for each image that stays the same when the whole tree of images is moved."""
    paths = [path.absolute() for path in paths]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    relative = [path.relative_to(root).as_posix() for path in paths]
    return [f"{Path(name).stem}-{_digest(name).hex()[:8]}" for name in relative]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _write_one(options: ImplantOptions, size: int | None, seed: int, folder: Path, job: _Job) -> Sample | None:
    """Write an image and its mask; None for one that cannot carry lesions, whatever its class."""
    try:
        image = _decode(job.sample.image, CHANNELS[options.kind], size)
        implant = make_implant(image, options, seed, job.name)
    except DataError as error:
        logger.warning("left out %s: %s", job.sample.image, error)
        return None
    path, mask = (folder / kind / f"{job.name}.png" for kind in ("images", "masks"))
    _save(_to_bytes(implant.pixels if job.diseased else image), path)
    if job.diseased:
        _save(implant.mask.astype(np.uint8) * 255, mask)
    lesions = "+".join(implant.lesions) if job.diseased else ""
    return replace(
        job.sample,
        image=path,
        labels=(int(job.diseased),),
        annotations=Annotations(masks=(mask,)) if job.diseased else Annotations(),
        extra={**job.sample.extra, "lesions": lesions, "source": str(job.sample.image)},
    )


def _decode(path: Path, channels: int, size: int | None) -> Array:
    pixels = read_image(path).pixels
    if len(pixels) < channels:
        raise DataError("it is grey, a fundus photograph is in colour.")
    pixels = match_channels(pixels, channels)
    if size is not None:
        factor = size / max(pixels.shape[-2:])
        height, width = (max(1, round(side * factor)) for side in pixels.shape[-2:])
        pixels = F.interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)[0].clamp(0, 1)
    image: Array = pixels.contiguous().to(torch.float32).numpy()
    return image


def _to_bytes(image: Array) -> NDArray[np.uint8]:
    levels = np.rint(image * np.float32(255)).astype(np.uint8)
    return levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0))


def _save(pixels: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(pixels).save(path)


def _check(samples: Sequence[Sample], share: float, size: int | None, seed: int, workers: int | None) -> None:
    if not samples:
        raise DataError("There is no healthy image to put lesions into; name the healthy class with --label.")
    if not 0 <= share <= 1:
        raise ConfigError(f"implant share is {share}; choose a value from 0 to 1.")
    if size is not None and not 64 <= size <= 4096:
        raise ConfigError(
            f"implant size is {size}; choose a value from 64 to 4096 px, or none to keep images as they are."
        )
    if seed < 0:
        raise ConfigError(f"implant seed is {seed}; give 0 or more.")
    if workers is not None and workers < 1:
        raise ConfigError(f"implant workers is {workers}; give 1 or more.")


def _check_replaceable(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise DataError(f"{directory} is a file; name a folder for the implants.")
    if any(directory.iterdir()) and not (directory / PROVENANCE).is_file():
        raise DataError(f"{directory} holds files that are not implants; name a new folder, it would be replaced.")
