from __future__ import annotations

from pathlib import Path

from softcam.data.manifest import Manifest
from softcam.data.sources.phantom import prepare_phantom


def test_images_go_to_the_root_and_the_manifest_where_it_is_asked_for(tmp_path: Path) -> None:
    root, out = tmp_path / "phantoms", tmp_path / "tables" / "chest.csv"
    manifest = prepare_phantom(root, out, kind="chest", count=40, size=64, workers=1)
    assert manifest.path == out
    manifest.check_images()
    read = Manifest.read(out)
    assert read.samples == manifest.samples == Manifest.read(root / "manifest.csv").samples
    assert read.samples[0].image.parent == root / "images"
    assert read.counts()["train"] == {"healthy": 12, "diseased": 12}


def test_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    first, again, other = (
        prepare_phantom(tmp_path / name, tmp_path / f"{name}.csv", count=8, size=64, seed=seed, workers=1)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    images = [[sample.image.read_bytes() for sample in manifest.samples] for manifest in (first, again, other)]
    assert images[0] == images[1] != images[2]
