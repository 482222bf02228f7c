from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from softcam.data.implants import ImplantKind
from softcam.data.manifest import Manifest
from softcam.data.phantoms import PhantomKind, PhantomOptions, make_phantom
from softcam.data.sample import Sample, Split
from softcam.data.sources.implants import prepare_implants
from softcam.errors import ConfigError, DataError


@pytest.fixture
def chests(tmp_path: Path) -> Path:
    """ROOT/NORMAL and ROOT/PNEUMONIA, six chests each."""
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        (tmp_path / "chests" / name).mkdir(parents=True)
        for index in range(6):
            phantom = make_phantom(PhantomOptions(kind=PhantomKind.CHEST, size=80), 0, index, label=label)
            Image.fromarray(phantom.pixels).save(tmp_path / "chests" / name / f"{index}.png")
    return tmp_path / "chests"


def manifest_of(folder: Path, names: tuple[str, ...] = ("No Finding", "Pneumonia")) -> Path:
    samples = [
        Sample(path, (label,), path.stem, Split.TRAIN if int(path.stem) < 4 else Split.TEST)
        for label, name in enumerate(("NORMAL", "PNEUMONIA"))
        for path in sorted((folder / name).iterdir())
    ]
    out = folder.parent / "manifest.csv"
    Manifest(tuple(samples), names).write(out)
    return out


@pytest.mark.parametrize(
    ("names", "label"), [(("No Finding", "Pneumonia"), None), (("0", "1"), None), (("clear", "ill"), "clear")]
)
def test_only_healthy_images_are_taken_and_keep_their_split(
    chests: Path, tmp_path: Path, names: tuple[str, ...], label: str | None
) -> None:
    source = manifest_of(chests, names)
    manifest = prepare_implants(source, tmp_path / "set", kind=ImplantKind.CHEST, label=label, workers=1)
    assert manifest.path == tmp_path / "set" / "manifest.csv"
    assert all(Path(sample.extra["source"]).parent.name == "NORMAL" for sample in manifest.samples)
    assert manifest.counts() == {"train": {"healthy": 2, "diseased": 2}, "test": {"healthy": 1, "diseased": 1}}


def test_a_folder_of_classes_or_of_healthy_images(chests: Path, tmp_path: Path) -> None:
    fractions = (0.5, 0.0, 0.5)
    options = {"kind": ImplantKind.CHEST, "fractions": fractions, "workers": 1}
    by_class = prepare_implants(chests, tmp_path / "a", **options)
    flat = prepare_implants(chests / "NORMAL", tmp_path / "b", **options)
    for manifest in (by_class, flat):
        assert len(manifest) == 6
        assert {sample.split for sample in manifest.samples} == {Split.TRAIN, Split.TEST}
        assert {Path(sample.extra["source"]).parent.name for sample in manifest.samples} == {"NORMAL"}


def test_what_is_missing_or_wrong_is_named(chests: Path, tmp_path: Path) -> None:
    source = manifest_of(chests, ("clear", "ill"))
    with pytest.raises(ConfigError, match=r"^What the images show must be said: --kind chest or --kind fundus\.$"):
        prepare_implants(source, tmp_path / "set")
    with pytest.raises(ConfigError, match=r"has no class '0'; say with --label which is healthy: clear, ill\.$"):
        prepare_implants(source, tmp_path / "set", kind=ImplantKind.CHEST)
    only = Manifest.read(source).select(where=lambda sample: sample.labels == (1,)).write(tmp_path / "ill.csv")
    with pytest.raises(DataError, match=r"has no image of class 'clear' alone; choose another with --label\.$"):
        prepare_implants(only.path, tmp_path / "set", kind=ImplantKind.CHEST, label="clear")
    with pytest.raises(DataError, match=r"none\.csv"):
        prepare_implants(tmp_path / "none.csv", tmp_path / "set", kind=ImplantKind.CHEST)
    assert not (tmp_path / "set").exists()
