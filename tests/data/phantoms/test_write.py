from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.manifest import Split
from softcam.data.phantoms import PhantomOptions, make_phantom, write, write_phantoms
from softcam.errors import ConfigError, DataError

OPTIONS = PhantomOptions(kind="oct", size=64, shortcut=0.5)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    for workers in (1, 2):
        write_phantoms(OPTIONS, 20, tmp_path / str(workers), seed=3, workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_manifest_tells_what_the_phantoms_are(tmp_path: Path) -> None:
    manifest = write_phantoms(OPTIONS, 40, tmp_path / "set", seed=1, workers=1)
    manifest.check_images()
    assert manifest.classes == ("healthy", "diseased")
    assert manifest.path == tmp_path / "set" / "manifest.csv"
    assert len(manifest.patients) == 40
    for index, sample in enumerate(manifest.samples):
        phantom = make_phantom(OPTIONS, 1, index)
        assert sample.labels == (phantom.label,)
        np.testing.assert_array_equal(np.asarray(Image.open(sample.image)), phantom.pixels)
        assert len(sample.annotations.masks) == phantom.label
        for mask in sample.annotations.masks:
            np.testing.assert_array_equal(np.asarray(Image.open(mask)), phantom.mask * np.uint8(255))
        assert sample.extra == {"lesions": "+".join(phantom.lesions), "marker": str(int(phantom.marker.any()))}


def test_splits_have_their_shares_in_either_label(tmp_path: Path) -> None:
    manifest = write_phantoms(OPTIONS, 40, tmp_path / "set", workers=1, fractions=(0.6, 0.15, 0.25))
    assert manifest.counts() == {
        "train": {"healthy": 12, "diseased": 12},
        "val": {"healthy": 3, "diseased": 3},
        "test": {"healthy": 5, "diseased": 5},
    }
    assert len(manifest.select(Split.TEST)) == 10


def test_folder_says_how_it_was_made(tmp_path: Path) -> None:
    write_phantoms(OPTIONS, 8, tmp_path / "set", seed=4, workers=1)
    facts = json.loads((tmp_path / "set" / "phantoms.json").read_text())
    assert (facts["kind"], facts["size"], facts["shortcut"], facts["seed"], facts["count"]) == ("oct", 64, 0.5, 4, 8)


def test_phantoms_are_replaced_but_nothing_else_is(tmp_path: Path) -> None:
    for count in (12, 8):
        write_phantoms(OPTIONS, count, tmp_path / "set", workers=1)
    assert len(list((tmp_path / "set" / "images").iterdir())) == 8
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"mine holds files that are not phantoms; name a new folder"):
        write_phantoms(OPTIONS, 8, tmp_path / "mine", workers=1)
    assert contents(tmp_path / "mine") == {"thesis.txt": b"years of work"}
    with pytest.raises(DataError, match=r"thesis.txt is a file; name a folder"):
        write_phantoms(OPTIONS, 8, tmp_path / "mine" / "thesis.txt", workers=1)


def test_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: PhantomOptions, seed: int, index: int) -> None:
        if index == 3:
            raise KeyboardInterrupt
        return make_phantom(options, seed, index)

    monkeypatch.setattr(write, "make_phantom", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_phantoms(OPTIONS, 8, tmp_path / "set", workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, "phantom count is 0; give 1 or more."),
        ({"seed": -1}, "phantom seed is -1; give 0 or more."),
        ({"workers": 0}, "phantom workers is 0; give 1 or more."),
    ],
)
def test_wrong_numbers_are_named(tmp_path: Path, wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        write_phantoms(OPTIONS, **{"count": 8, "directory": tmp_path / "set", "workers": 1, **wrong})
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []
