"""The MedMNIST collections, through the medmnist package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from softcam.data.manifest import Manifest
from softcam.data.sample import Sample, Split
from softcam.data.sources.assemble import write_manifest
from softcam.data.splits import BY_PATIENT, SplitOptions
from softcam.errors import ConfigError, DataError
from softcam.files import atomic_directory

_SIZES = (28, 64, 128, 224)


def prepare_medmnist(
    root: Path,
    out: Path = Path("manifest.csv"),
    *,
    dataset: str = "pneumoniamnist",
    size: int = 224,
    download: bool = False,
    split: SplitOptions = BY_PATIENT,
) -> Manifest:
    """Prepare a 2D MedMNIST collection: its images are written as PNG files, its splits are kept.

    MedMNIST tells no patients, so every image is its own.

    Args:
        root: The folder with the collection's npz file; the images are written into a folder beside it.
        out: The manifest to write.
        dataset: Name of the collection, such as pneumoniamnist, retinamnist, octmnist or chestmnist.
        size: Width and height in px: 28, 64, 128 or 224.
        download: Fetch the npz file where it is missing.
        split: How to split; the collections come with train, val and test.

    Returns:
        The manifest.

    Raises:
        ConfigError: If medmnist is not installed, or there is no such 2D collection or size.
        DataError: If the npz file is missing or broken.

    Example:
        softcam prepare medmnist medmnist --dataset pneumoniamnist --download --out pneumonia.csv
    """
    package = _package()
    info = package.INFO.get(dataset)
    if info is None or not hasattr(package, info["python_class"]) or dataset.endswith("3d"):
        names = ", ".join(name for name in package.INFO if not name.endswith("3d"))
        raise ConfigError(f"MedMNIST has no 2D collection {dataset!r}; choose one of {names}.")
    if size not in _SIZES:
        raise ConfigError(f"MedMNIST has no size {size}; choose one of {', '.join(map(str, _SIZES))}.")
    archive = root / (f"{dataset}.npz" if size == 28 else f"{dataset}_{size}.npz")
    if not (archive.is_file() or download):
        raise DataError(f"{archive} does not exist; pass --download to fetch it.")
    root.mkdir(parents=True, exist_ok=True)
    folder = root / archive.stem
    samples: list[Sample] = []
    with atomic_directory(folder) as temporary:
        for each in Split:
            collection = _collection(package, info, each, root, size, download)
            samples += _write_images(collection, each, temporary, folder)
    classes = tuple(info["label"][str(index)] for index in range(len(info["label"])))
    return write_manifest(samples, classes, out, split)


def _package() -> Any:
    try:
        import medmnist
    except ImportError:
        raise ConfigError("medmnist is not installed; `pip install softcam[medmnist]`.") from None
    return medmnist


def _collection(package: Any, info: dict[str, Any], split: Split, root: Path, size: int, download: bool) -> Any:
    try:
        kind = getattr(package, info["python_class"])
        return kind(split=split.value, root=str(root), size=None if size == 28 else size, download=download)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise DataError(f"MedMNIST's file in {root} cannot be read ({error}); remove it and fetch it anew.") from None


def _write_images(collection: Any, split: Split, temporary: Path, folder: Path) -> list[Sample]:
    """Write one split's images below ``temporary``, to be found below ``folder``."""
    multilabel = collection.info["task"].startswith("multi-label")
    (temporary / split).mkdir()
    samples = []
    pairs = zip(collection.imgs, collection.labels, strict=True)
    for index, (pixels, row) in enumerate(tqdm(pairs, split, len(collection.imgs), unit="image", disable=None)):
        name = f"{split}/{index:06d}.png"
        Image.fromarray(pixels).save(temporary / name)
        labels = np.flatnonzero(row) if multilabel else row
        samples.append(Sample(folder / name, tuple(map(int, labels)), f"{split}-{index:06d}", split))
    return samples
