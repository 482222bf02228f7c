"""Real healthy images with generated lesions in a share of them: real anatomy, exact truth."""

from __future__ import annotations

from pathlib import Path

from softcam.data.implants.options import ImplantKind, ImplantOptions
from softcam.data.manifest import Manifest
from softcam.data.sample import Sample
from softcam.data.sources.class_folders import samples_of, scan_class_folders
from softcam.data.sources.labels import class_indices, means_healthy
from softcam.data.splits import split_by_patient
from softcam.errors import ConfigError, DataError


def prepare_implants(
    root: Path,
    out: Path = Path("implants"),
    *,
    kind: ImplantKind | None = None,
    label: str | None = None,
    share: float = 0.5,
    size: int | None = None,
    lesion_size: float = 1.0,
    contrast: float = 1.0,
    seed: int = 0,
    workers: int | None = None,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
) -> Manifest:
    """Put generated lesions into half of the healthy images of a data set, with exact masks.

    Real anatomy, exact truth, and nothing but the lesions to tell the classes apart: which image gets lesions
    is drawn within each split and patient, and all images are decoded, scaled and written alike, as 8-bit PNG.
    Chest radiographs get opacities within the lungs, fundus photographs exudates, haemorrhages and
    microaneurysms on the retina. The same images, options and seed give the same files.

    Args:
        root: A manifest, or a folder of healthy images or of class folders. In a folder every image is its
            own patient; use a manifest where patients have several.
        out: The folder to write, with a manifest.csv in it; one that holds implants already is replaced.
        kind: What the images show. Needed.
        label: The class of the healthy images; others are left out. Without it, the one called healthy,
            normal, negative, no finding and the like, or 0 where classes have no names.
        share: Share of images that get lesions.
        size: Longer side of the images to write, in px; without it, images keep their size.
        lesion_size: Length scale of the lesions, 0.5 to 2.
        contrast: Strength of the lesions, 0.5 to 2.
        seed: Another seed, other lesions in other images.
        workers: Threads to draw with; without it, one per CPU core.
        fractions: Shares of train, val and test, for images that have no split.

    Returns:
        The manifest.

    Raises:
        ConfigError: If a value is out of its range, or the label is none of the classes.
        DataError: If there is no healthy image, or the folder to write holds something else.

    Example:
        softcam prepare implants nih.csv --kind chest --size 256 --out implants
    """
    from softcam.data.implants.write import write_implants  # here, because it needs torch

    if kind is None:
        raise ConfigError("What the images show must be said: --kind chest or --kind fundus.")
    options = ImplantOptions(kind, lesion_size, contrast)
    samples = _healthy(_read(root), label, root)
    if any(sample.split is None for sample in samples):
        samples = split_by_patient(samples, fractions, seed)
    return write_implants(samples, options, out, share=share, size=size, seed=seed, workers=workers)


def _read(root: Path) -> Manifest:
    if not root.is_dir():
        return Manifest.read(root)
    if any(path.is_dir() for path in root.iterdir()):
        found = scan_class_folders(root)
        indices = class_indices({image.class_name for image in found}, None, str(root))
        return Manifest(tuple(samples_of(found, indices, lambda image: image.name)), tuple(indices))
    from softcam.data.images import find_images  # here, because it needs torch

    return Manifest(tuple(Sample(path.absolute(), (0,), path.name) for path in find_images(root)), ("healthy",))


def _healthy(manifest: Manifest, label: str | None, root: Path) -> tuple[Sample, ...]:
    """The images of the healthy class and of no other."""
    names = manifest.classes
    if label is None:
        label = next((name for name in names if means_healthy(name)), "0")
    if label not in names:
        raise ConfigError(f"{root} has no class {label!r}; say with --label which is healthy: {', '.join(names)}.")
    wanted = (names.index(label),)
    samples = tuple(sample for sample in manifest.samples if sample.labels == wanted)
    if not samples:
        raise DataError(f"{root} has no image of class {label!r} alone; choose another with --label.")
    return samples
