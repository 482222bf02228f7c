from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.phantoms import PhantomKind, PhantomOptions, make_phantom
from softcam.errors import DataError
from softcam.evaluation.audit.properties import PROPERTIES, measure_properties
from softcam.evaluation.audit.regions import CORNERS, corner_mask
from softcam.metrics.curves import auroc


def measured(pixels: np.ndarray, path: Path, **options: int) -> dict[str, float]:
    Image.fromarray(pixels).save(path, **options)
    return {name: float(column[0]) for name, column in measure_properties([path], progress=False).items()}


def noise(size: int = 128, strength: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(100 - strength, 100 + strength, (size, size), dtype=np.uint8)


def test_file_properties_are_those_of_the_file(tmp_path: Path) -> None:
    told = measured(noise()[:, :64], tmp_path / "a.png")
    assert set(told) == set(PROPERTIES)
    assert told["file_size"] == (tmp_path / "a.png").stat().st_size
    assert (told["pixels"], told["aspect_ratio"], told["bit_depth"], told["channels"]) == (8192, 0.5, 8, 1)
    assert told["compression"] == 0
    assert told["brightness"] == pytest.approx(100 / 255, abs=0.01)


def test_stronger_jpeg_compression_is_seen(tmp_path: Path) -> None:
    fine, coarse = (measured(noise(), tmp_path / f"{q}.jpg", quality=q) for q in (95, 40))
    assert 0 < fine["compression"] < coarse["compression"]
    assert fine["format"] == coarse["format"] != measured(noise(), tmp_path / "a.png")["format"]


def test_grain_is_that_of_the_margin_alone(tmp_path: Path) -> None:
    plain = measured(noise(), tmp_path / "a.png")
    busy = noise()
    busy[32:96, 32:96] = np.random.default_rng(1).integers(0, 255, (64, 64))
    assert measured(busy, tmp_path / "b.png")["grain"] == plain["grain"]
    assert measured(busy, tmp_path / "b.png")["sharpness"] != plain["sharpness"]
    assert measured(noise(strength=40), tmp_path / "c.png")["grain"] == pytest.approx(2 * plain["grain"], rel=0.1)


def test_a_black_margin_has_no_grain(tmp_path: Path) -> None:
    framed = np.pad(noise(64), 32)
    assert measured(framed, tmp_path / "a.png")["grain"] == 0


@pytest.mark.parametrize("corner", CORNERS)
def test_a_mark_is_found_in_its_corner_alone(corner: str, tmp_path: Path) -> None:
    pixels, box = noise(), corner_mask(corner, 128, 128)
    rows, columns = np.nonzero(box.any(1))[0], np.nonzero(box.any(0))[0]
    pixels[rows[5] : rows[20], columns[8] : columns[11]] = 255
    plain, marked = measured(noise(), tmp_path / "a.png"), measured(pixels, tmp_path / "b.png")
    for each in CORNERS:
        name = f"marker_{each.replace(' ', '_')}"
        assert (marked[name] > 2 * plain[name]) == (each == corner)


@pytest.mark.parametrize(
    ("kind", "corner"), [("fundus", "upper_right"), ("chest", "upper_right"), ("oct", "upper_left")]
)
def test_the_marker_of_phantoms_is_seen(kind: str, corner: str, tmp_path: Path) -> None:
    options = PhantomOptions(kind=PhantomKind(kind), size=64, shortcut=0.9)
    phantoms = [make_phantom(options, 0, index) for index in range(20)]
    for index, phantom in enumerate(phantoms):
        Image.fromarray(phantom.pixels).save(tmp_path / f"{index}.png")
    columns = measure_properties([tmp_path / f"{index}.png" for index in range(20)], workers=2, progress=False)
    marked = np.array([bool(phantom.marker.any()) for phantom in phantoms])
    assert auroc(columns[f"marker_{corner}"], marked) > 0.9


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.png is no image"):
        measure_properties([tmp_path / "a.png"], progress=False)
