"""Generated images with exact lesion masks: data to start with, and to test on."""

from __future__ import annotations

from pathlib import Path

from softcam.data.manifest import Manifest
from softcam.data.phantoms import PhantomKind, PhantomOptions, write_phantoms


def prepare_phantom(
    root: Path,
    out: Path = Path("manifest.csv"),
    *,
    kind: PhantomKind = PhantomKind.FUNDUS,
    count: int = 1200,
    size: int = 256,
    prevalence: float = 0.5,
    lesion_size: float = 1.0,
    lesion_contrast: float = 1.0,
    noise: float = 1.0,
    variation: float = 1.0,
    shortcut: float = 0.0,
    seed: int = 0,
    workers: int | None = None,
    fractions: tuple[float, float, float] = (0.6, 0.15, 0.25),
) -> Manifest:
    """Generate phantoms of fundus photographs, chest radiographs or OCT scans, with exact lesion masks.

    The same options and seed give the same files. Every image is a patient of its own.

    Args:
        root: The folder to write images and masks to; one that holds phantoms already is replaced.
        out: The manifest to write; the folder holds a copy of its own.
        kind: What to mimic.
        count: How many images.
        size: Height and width in pixels, from 64.
        prevalence: Share of diseased images.
        lesion_size: Length scale of the lesions, 0.5 to 2.
        lesion_contrast: Strength of the lesions, 0.5 to 2.
        noise: Strength of the noise, 0 to 4.
        variation: How far healthy patients differ, 0 to 1.5.
        shortcut: Share of the diseased images (of the healthy ones, if negative) that carries a marker.
        seed: Another seed, other patients.
        workers: Processes to draw with; without it, one per CPU core.
        fractions: Shares of train, val and test.

    Returns:
        The manifest.

    Raises:
        ConfigError: If a value is out of its range.
        DataError: If the root exists and holds something else.

    Example:
        softcam prepare phantom phantoms --kind fundus --count 1200 --size 256 --out phantoms.csv
    """
    options = PhantomOptions(
        kind=kind,
        size=size,
        prevalence=prevalence,
        lesion_size=lesion_size,
        lesion_contrast=lesion_contrast,
        noise=noise,
        variation=variation,
        shortcut=shortcut,
    )
    return write_phantoms(options, count, root, seed, workers, fractions).write(out)
