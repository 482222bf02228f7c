from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from softcam.data.images import DecodedImage, find_images, image_size, match_channels, read_image
from softcam.errors import DataError


def smooth_grey(height: int = 24, width: int = 40) -> np.ndarray:
    """All values from 0 to 255, slowly varying, so that JPEG keeps them."""
    ramp = np.add.outer(np.linspace(0, 1, height), np.linspace(0, 1, width)) / 2
    return np.round(255 * ramp).astype(np.uint8)


def smooth_colour() -> np.ndarray:
    grey = smooth_grey()
    return np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)


def expected(array: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(np.atleast_3d(array).astype(np.float32) / 255)
    return pixels.permute(2, 0, 1)


def scaled(array: np.ndarray, greatest: float, dtype: type) -> np.ndarray:
    values = array.astype(np.float64) / 255 * greatest
    return (values if np.dtype(dtype).kind == "f" else np.round(values)).astype(dtype)


GREY_FILES: dict[str, tuple[Callable[[np.ndarray], Image.Image], dict[str, Any], float]] = {
    "l.png": (Image.fromarray, {}, 1e-6),
    "l.bmp": (Image.fromarray, {}, 1e-6),
    "l.pgm": (Image.fromarray, {}, 1e-6),
    "l.tif": (Image.fromarray, {}, 1e-6),
    "lzw.tif": (Image.fromarray, {"compression": "tiff_lzw"}, 1e-6),
    "l.webp": (Image.fromarray, {"lossless": True}, 1e-6),
    "l.gif": (Image.fromarray, {}, 1e-6),
    "l.jpg": (Image.fromarray, {"quality": 98}, 0.02),
    "deep.png": (lambda a: Image.fromarray(scaled(a, 65535, np.uint16)), {}, 1e-6),
    "deep.tif": (lambda a: Image.fromarray(scaled(a, 65535, np.uint16)), {}, 1e-6),
    "deep_lzw.tif": (lambda a: Image.fromarray(scaled(a, 65535, np.uint16)), {"compression": "tiff_lzw"}, 1e-6),
    "deep_big_endian.tif": (
        lambda a: Image.frombytes("I;16B", a.shape[::-1], scaled(a, 65535, np.uint16).astype(">u2").tobytes()),
        {},
        1e-6,
    ),
    "int32.tif": (lambda a: Image.fromarray(scaled(a, 2**31 - 1, np.int32)), {}, 1e-6),
    "float.tif": (lambda a: Image.fromarray(scaled(a, 1, np.float32)), {}, 1e-6),
    "opaque.png": (lambda a: Image.merge("LA", [Image.fromarray(a), Image.new("L", a.shape[::-1], 255)]), {}, 1e-6),
    "palette.png": (lambda a: Image.fromarray(a).convert("P"), {}, 1e-6),
    "rgb.png": (lambda a: Image.fromarray(a).convert("RGB"), {}, 1e-6),
    "rgba.png": (lambda a: Image.fromarray(a).convert("RGBA"), {}, 1e-6),
}

COLOUR_FILES: dict[str, tuple[Callable[[Image.Image], Image.Image], dict[str, Any], float]] = {
    "rgb.png": (lambda image: image, {}, 1e-6),
    "rgb.bmp": (lambda image: image, {}, 1e-6),
    "rgb.tif": (lambda image: image, {}, 1e-6),
    "deflate.tif": (lambda image: image, {"compression": "tiff_adobe_deflate"}, 1e-6),
    "rgb.webp": (lambda image: image, {"lossless": True}, 1e-6),
    "rgb.ppm": (lambda image: image, {}, 1e-6),
    "rgba.png": (lambda image: image.convert("RGBA"), {}, 1e-6),
    "rgba.tif": (lambda image: image.convert("RGBA"), {}, 1e-6),
    "rgb.jpg": (lambda image: image, {"quality": 98, "subsampling": 0}, 0.03),
    "cmyk.jpg": (lambda image: image.convert("CMYK"), {"quality": 98}, 0.03),
    "cmyk.tif": (lambda image: image.convert("CMYK"), {}, 1e-6),
    "jpeg.tif": (lambda image: image, {"compression": "jpeg", "quality": 98}, 0.03),
}


@pytest.mark.parametrize("name", GREY_FILES)
def test_the_same_grey_picture_in_any_format_gives_the_same_tensor(tmp_path: Path, name: str) -> None:
    make, options, tolerance = GREY_FILES[name]
    make(smooth_grey()).save(tmp_path / name, **options)
    image = read_image(tmp_path / name)
    assert image.pixels.dtype == torch.float32
    assert image.pixels.is_contiguous()
    torch.testing.assert_close(match_channels(image.pixels, 1), expected(smooth_grey()), atol=tolerance, rtol=0)
    assert image_size(tmp_path / name) == (24, 40)


@pytest.mark.parametrize("name", COLOUR_FILES)
def test_the_same_colour_picture_in_any_format_gives_the_same_tensor(tmp_path: Path, name: str) -> None:
    make, options, tolerance = COLOUR_FILES[name]
    make(Image.fromarray(smooth_colour())).save(tmp_path / name, **options)
    torch.testing.assert_close(read_image(tmp_path / name).pixels, expected(smooth_colour()), atol=tolerance, rtol=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_same_picture_as_dicom_gives_the_same_tensor(write_dicom, dtype: type, photometric: str) -> None:
    stored = scaled(smooth_grey(), np.iinfo(dtype).max, dtype)
    if photometric == "MONOCHROME1":
        stored = np.iinfo(dtype).max - stored
    path = write_dicom(stored, PhotometricInterpretation=photometric)
    torch.testing.assert_close(read_image(path).pixels, expected(smooth_grey()), atol=1e-6, rtol=0)
    colour = write_dicom(scaled(smooth_colour(), np.iinfo(dtype).max, dtype))
    torch.testing.assert_close(read_image(colour).pixels, expected(smooth_colour()), atol=1e-6, rtol=0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_png_keeps_all_sixteen_bits(tmp_path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / "image.png")
    pixels = read_image(tmp_path / "image.png").pixels
    np.testing.assert_array_equal(np.round(pixels[0].double().numpy() * 65535), values)


def test_bilevel_images_are_black_and_white(tmp_path: Path) -> None:
    array = smooth_grey() > 100
    Image.fromarray(array).save(tmp_path / "image.png")
    image = read_image(tmp_path / "image.png")
    assert torch.equal(image.pixels[0].bool(), torch.from_numpy(array))
    assert image.bit_depth == 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_white_is_zero_is_inverted(tmp_path: Path, bits: int) -> None:
    greatest = 2**bits - 1
    stored = greatest - scaled(smooth_grey(), greatest, np.dtype(f"uint{bits}").type)
    path = tmp_path / "image.tif"
    Image.fromarray(stored).save(path)
    black_is_zero = struct.pack("<HHIH", 262, 3, 1, 1)
    content = path.read_bytes()
    assert content.count(black_is_zero) == 1
    path.write_bytes(content.replace(black_is_zero, struct.pack("<HHIH", 262, 3, 1, 0)))
    torch.testing.assert_close(read_image(path).pixels, expected(smooth_grey()), atol=1e-6, rtol=0)


def test_facts_about_the_file(tmp_path: Path) -> None:
    Image.fromarray(scaled(smooth_grey(), 65535, np.uint16)).save(tmp_path / "image.png")
    image = read_image(str(tmp_path / "image.png"))
    assert isinstance(image, DecodedImage)
    assert (image.path, image.format, image.bit_depth) == (tmp_path / "image.png", "PNG", 16)
    assert image.photometric.startswith("I")


def test_transparency_is_laid_on_black(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 1), (255, 128, 0, 51)).save(tmp_path / "rgba.png")
    values = [1.0 * 0.2, 128 / 255 * 0.2, 0.0]
    torch.testing.assert_close(read_image(tmp_path / "rgba.png").pixels[:, 0, 0], torch.tensor(values))
    Image.new("LA", (2, 1), (255, 51)).save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png").pixels.tolist() == [[[pytest.approx(0.2)] * 2]]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_colour_declared_transparent_becomes_black(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (2, 1), "white")
    image.putpixel((0, 0), 90 if mode == "L" else (90, 90, 90))
    image.save(tmp_path / "image.png", transparency=255 if mode == "L" else (255, 255, 255))
    pixels = read_image(tmp_path / "image.png").pixels
    torch.testing.assert_close(pixels[:, 0], torch.tensor([90 / 255, 0.0]).expand(len(pixels), 2))


ORIENTED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_the_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    options = {"jpg": {"quality": 98, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(smooth_colour()).save(path, exif=exif, **options)
    upright = np.ascontiguousarray(ORIENTED[orientation](smooth_colour()))
    torch.testing.assert_close(read_image(path).pixels, expected(upright), atol=0.03, rtol=0)
    assert image_size(path) == upright.shape[:2]


def test_deep_images_are_turned_upright_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(scaled(smooth_grey(), 65535, np.uint16)).save(tmp_path / "image.png", exif=exif)
    upright = np.ascontiguousarray(np.rot90(smooth_grey(), -1))
    torch.testing.assert_close(read_image(tmp_path / "image.png").pixels, expected(upright), atol=1e-6, rtol=0)


def test_the_size_is_read_without_decoding(tmp_path: Path, write_dicom) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 200), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "image.png")
    for path in (tmp_path / "image.png", write_dicom(noise)):
        path.write_bytes(path.read_bytes()[:2000])
        assert image_size(path) == (300, 200)
        with pytest.raises(DataError):
            read_image(path)


def message(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_image(path)
    return str(caught.value)


def test_a_file_that_is_no_image_is_named_with_the_mend(tmp_path: Path) -> None:
    missing, empty, text, folder = (tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png"))
    empty.touch()
    text.write_text("no image, but some text")
    folder.mkdir()
    assert message(missing) == f"{missing} does not exist; check the path."
    assert message(empty) == f"{empty} is empty; copy or export it again."
    assert message(folder) == f"{folder} is a folder, not an image; name a file in it."
    assert message(text) == (
        f"{text} is no image that softcam reads (PNG, JPEG, TIFF, BMP, WEBP, GIF, PPM, DICOM); convert it to PNG."
    )
    with pytest.raises(DataError, match="is no image that softcam reads"):
        image_size(text)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(smooth_grey()).save(path)
    path.chmod(0)
    assert message(path) == f"{path} may not be read by this user; change its permissions."


@pytest.mark.parametrize("name", ["image.png", "image.jpg", "image.tif", "image.webp", "image.bmp"])
def test_a_truncated_file_is_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert message(path) == f"{path} is damaged or cut short; copy or export it again."


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["image.png", "image.jpg", "image.tif", "image.gif"]))
def test_a_damaged_file_is_an_error_or_an_image_and_nothing_else(tmp_path: Path, data, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(smooth_grey()).save(path)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = read_image(path).pixels
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert 0 <= pixels.min() <= pixels.max() <= 1


def test_several_pages_are_an_error(tmp_path: Path) -> None:
    pages = [Image.fromarray(smooth_grey()), Image.fromarray(smooth_grey()[::-1].copy())]
    for name in ("image.tif", "image.gif"):
        path = tmp_path / name
        pages[0].save(path, save_all=True, append_images=pages[1:])
        assert message(path) == f"{path} holds 2 images; save the one to read as a file of its own."


def test_too_many_pixels_are_an_error(tmp_path: Path, write_dicom, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(smooth_grey()).save(tmp_path / "image.png")
    dicom = write_dicom(smooth_grey())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 40 // 2 - 1)
    for path in (tmp_path / "image.png", dicom):
        assert message(path) == f"{path} has more pixels than can be safe; reduce it to read it."


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_an_error(tmp_path: Path, write_dicom, value: float) -> None:
    array = scaled(smooth_grey(), 1, np.float32)
    array[3, 5] = value
    Image.fromarray(array).save(tmp_path / "image.tif")
    for path in (tmp_path / "image.tif", write_dicom(array)):
        assert message(path) == f"{path} has NaN or infinite pixels; replace them before saving it."


def test_pixels_out_of_range_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    Image.fromarray(np.array([[0, 255]], np.float32)).save(path)
    assert message(path) == f"{path} has pixels from 0 to 255; scale them to [0, 1]."
    Image.fromarray(np.array([[-1, 255]], np.int32)).save(path)
    assert message(path) == f"{path} has pixels from -1 to 255; scale them to [0, 2147483647]."


def test_find_images_lists_a_folder_by_suffix_and_dicom_by_content(tmp_path: Path, write_dicom) -> None:
    (tmp_path / "b" / ".hidden").mkdir(parents=True)
    wanted = [tmp_path / name for name in ("a.PNG", "b/c.jpeg", "b/scan.tiff")]
    for path in (*wanted, tmp_path / "b" / ".hidden" / "d.png", tmp_path / "b" / "._e.png"):
        path.touch()
    (tmp_path / "notes.txt").write_text("text")
    dicom = [write_dicom(smooth_grey(), name=name) for name in ("1.2.840.7", "z")]
    write_dicom(smooth_grey(), name="DICOMDIR")
    assert find_images(tmp_path) == sorted([*wanted, *dicom])
    assert find_images(str(dicom[0])) == [dicom[0]]
    assert read_image(dicom[1]).format == "DICOM"


def test_find_images_refuses_what_holds_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(DataError, match=r"holds no image \(\.bmp, .*\.webp\); name another folder\.$"):
        find_images(tmp_path)
    with pytest.raises(DataError, match=r"nowhere does not exist; check the path\.$"):
        find_images(tmp_path / "nowhere")


@given(st.floats(0, 1, width=32), st.integers(1, 5))
def test_grey_to_colour_and_back_is_the_identity(value: float, channels: int) -> None:
    grey = torch.full((1, 2, 3), value)
    assert match_channels(grey, channels).shape == (channels, 2, 3)
    torch.testing.assert_close(match_channels(match_channels(grey, 3), 1), grey)


def test_luma_is_that_of_pillow() -> None:
    grey = np.asarray(Image.fromarray(smooth_colour()).convert("L"))
    torch.testing.assert_close(match_channels(expected(smooth_colour()), 1), expected(grey), atol=0.6 / 255, rtol=0)


def test_channels_that_do_not_match_are_an_error() -> None:
    with pytest.raises(DataError, match="An image of 3 channels cannot become one of 4"):
        match_channels(torch.zeros(3, 2, 2), 4)


@pytest.mark.real_data
def test_real_radiograph_without_window_has_dark_lungs(real_data: Path) -> None:
    image = read_image(real_data / "dicom" / "rsna-like-cr-jpeg.dcm")
    assert image.pixels.shape == (1, 1024, 1024)
    lungs, shoulders = image.pixels[0, 300:700, 200:400], image.pixels[0, 100:250, 450:560]
    assert lungs.mean() < shoulders.mean()
