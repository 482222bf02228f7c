from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.manifest import Manifest
from softcam.data.sources.medmnist import prepare_medmnist
from softcam.errors import ConfigError, DataError


def archive(root: Path, name: str, labels: np.ndarray, size: int = 28, channels: int = 0) -> None:
    root.mkdir(parents=True, exist_ok=True)
    count = len(labels)
    shape = (count, size, size, channels) if channels else (count, size, size)
    pixels = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape).astype(np.uint8)
    arrays = {}
    for split in ("train", "val", "test"):
        arrays |= {f"{split}_images": pixels, f"{split}_labels": labels}
    np.savez(root / f"{name}.npz", **arrays)


def test_one_label_per_image(tmp_path: Path) -> None:
    pytest.importorskip("medmnist")
    archive(tmp_path, "pneumoniamnist", np.array([[0], [1], [1]]))
    manifest = prepare_medmnist(tmp_path, tmp_path / "m.csv", size=28)
    assert Manifest.read(tmp_path / "m.csv") == manifest
    assert manifest.classes == ("normal", "pneumonia")
    assert manifest.counts() == {split: {"normal": 1, "pneumonia": 2} for split in ("train", "val", "test")}
    with np.load(tmp_path / "pneumoniamnist.npz") as arrays:
        second = arrays["val_images"][1]
    assert manifest.samples[4].image == tmp_path / "pneumoniamnist/val/000001.png"
    assert np.array_equal(np.asarray(Image.open(manifest.samples[4].image)), second)


def test_several_labels_per_image_in_colour_and_large(tmp_path: Path) -> None:
    pytest.importorskip("medmnist")
    labels = np.zeros((2, 14), int)
    labels[1, [2, 6]] = 1
    archive(tmp_path, "chestmnist_64", labels, size=64, channels=3)
    manifest = prepare_medmnist(tmp_path, tmp_path / "m.csv", dataset="chestmnist", size=64)
    assert [sample.labels for sample in manifest.samples[:2]] == [(), (2, 6)]
    assert len(manifest.classes) == 14
    assert Image.open(manifest.samples[0].image).size == (64, 64)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    pytest.importorskip("medmnist")
    with pytest.raises(DataError, match=r"pneumoniamnist_224\.npz does not exist; pass --download to fetch it\.$"):
        prepare_medmnist(tmp_path, tmp_path / "m.csv")
    with pytest.raises(ConfigError, match=r"^MedMNIST has no 2D collection 'organmnist3d'; choose one of pathmnist"):
        prepare_medmnist(tmp_path, tmp_path / "m.csv", dataset="organmnist3d")
    with pytest.raises(ConfigError, match=r"^MedMNIST has no size 100; choose one of 28, 64, 128, 224\.$"):
        prepare_medmnist(tmp_path, tmp_path / "m.csv", size=100)
    (tmp_path / "pneumoniamnist.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"cannot be read .* remove it and fetch it anew"):
        prepare_medmnist(tmp_path, tmp_path / "m.csv", size=28)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pneumoniamnist.npz"]


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medmnist", None)
    with pytest.raises(ConfigError, match=r"^medmnist is not installed; `pip install softcam\[medmnist\]`\.$"):
        prepare_medmnist(tmp_path, tmp_path / "m.csv")
