from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import MPEG2MPML, ExplicitVRBigEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from softcam.data.images import image_size, read_image
from softcam.errors import DataError

ROW = np.array([[0, 100, 200, 300, 400]], dtype=np.uint16)


def values(path: Path) -> list[float]:
    return read_image(path).pixels.flatten().tolist()


def table(entries: list[int], first: int, bits: int, vr: str = "US") -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(entries), first, bits])
    item.add_new("LUTData", vr, entries if vr == "US" else np.array(entries, "<u2").tobytes())
    return Sequence([item])


def test_modality_then_window_then_inversion_by_hand(write_dicom) -> None:
    """2·x − 100 gives −100, 100, 300, 500, 700; the window from 99.5 to 500.5 (401 wide) and MONOCHROME1 follow.

    In any other order the numbers differ: windowing first would leave the first two and the last black or white.
    """
    elements = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 300.5, "WindowWidth": 401}
    by_hand = [0.0, 0.0, 0.5, 1.0, 1.0]
    assert values(write_dicom(ROW, **elements)) == pytest.approx(by_hand)
    inverted = write_dicom(ROW, **elements, PhotometricInterpretation="MONOCHROME1")
    assert values(inverted) == pytest.approx([1 - value for value in by_hand])


def test_linear_window_is_the_formula_of_the_standard(write_dicom) -> None:
    """C.11.2.1.2.1: y = (x − (c − .5)) / (w − 1) + .5."""
    path = write_dicom(ROW, WindowCenter=200, WindowWidth=301)
    assert values(path) == pytest.approx([0, (100 - 199.5) / 300 + 0.5, 0.5 + 0.5 / 300, (300 - 199.5) / 300 + 0.5, 1])


def test_exact_linear_window(write_dicom) -> None:
    path = write_dicom(ROW, WindowCenter=200, WindowWidth=400, VOILUTFunction="LINEAR_EXACT")
    assert values(path) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_sigmoid_window(write_dicom) -> None:
    path = write_dicom(ROW, WindowCenter=200, WindowWidth=100, VOILUTFunction="SIGMOID")
    assert values(path) == pytest.approx([1 / (1 + np.exp(-4 * (x - 200) / 100)) for x in ROW[0].tolist()], abs=1e-6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    slope=st.floats(0.1, 4),
    intercept=st.floats(-1024, 100),
    center=st.floats(-500, 3000),
    width=st.floats(1.5, 4000),
    bits=st.integers(9, 16),
    signed=st.booleans(),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    seed=st.integers(0, 99),
)
def test_windowing_agrees_with_pydicom(
    write_dicom, slope, intercept, center, width, bits, signed, function, seed
) -> None:
    low = -(2 ** (bits - 1)) if signed else 0
    stored = np.random.default_rng(seed).integers(low, low + 2**bits, (6, 7), dtype=np.int16 if signed else np.uint16)
    path = write_dicom(
        stored,
        BitsStored=bits,
        RescaleSlope=round(slope, 4),
        RescaleIntercept=round(intercept, 3),
        WindowCenter=round(center, 3),
        WindowWidth=round(width, 3),
        VOILUTFunction=function,
    )
    header = pydicom.dcmread(path)
    reference = apply_windowing(apply_modality_lut(header.pixel_array, header), header)
    ends = (np.array([low, low + 2**bits - 1]) * float(header.RescaleSlope)) + float(header.RescaleIntercept)
    reference = (reference - ends[0]) / (ends[1] - ends[0])
    np.testing.assert_allclose(read_image(path).pixels[0], reference, atol=1e-4)


def test_the_first_of_several_windows_is_taken(write_dicom) -> None:
    path = write_dicom(ROW, WindowCenter=[200.5, 7], WindowWidth=[401, 3])
    assert values(path) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("width", [0, -5, ""])
def test_a_window_of_no_width_is_no_window(write_dicom, width: Any) -> None:
    assert values(write_dicom(ROW, WindowCenter=200, WindowWidth=width)) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_a_window_of_width_one_is_a_step(write_dicom) -> None:
    assert values(write_dicom(ROW, WindowCenter=200, WindowWidth=1)) == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_voi_table_comes_before_the_window(write_dicom, vr: str) -> None:
    """The table starts at 100: what lies below gets its first entry, what lies above its last."""
    path = write_dicom(ROW, VOILUTSequence=table([51] + [102] * 100 + [204], 100, 8, vr), WindowCenter=1, WindowWidth=9)
    assert values(path) == pytest.approx([0.2, 0.2, 0.4, 0.8, 0.8])


def test_voi_table_of_packed_bytes(write_dicom) -> None:
    sequence = table([0], 0, 8)
    sequence[0].LUTDescriptor = [4, 0, 8]
    sequence[0].add_new("LUTData", "OW", bytes([0, 51, 102, 255]))
    path = write_dicom(np.array([[0, 1, 2, 3]], dtype=np.uint16), VOILUTSequence=sequence)
    assert values(path) == pytest.approx([0, 0.2, 0.4, 1])


def test_voi_table_applies_to_rescaled_values(write_dicom) -> None:
    path = write_dicom(ROW, RescaleSlope=0.01, RescaleIntercept=-2, VOILUTSequence=table([0, 64, 128, 192, 255], -2, 8))
    assert values(path) == pytest.approx([value / 255 for value in (0, 64, 128, 192, 255)])


def test_modality_table_comes_before_the_window(write_dicom) -> None:
    path = write_dicom(
        np.array([[0, 1, 2, 3]], dtype=np.uint8),
        ModalityLUTSequence=table([1000, 500, 250, 0], 0, 16),
        WindowCenter=500.5,
        WindowWidth=1001,
    )
    assert values(path) == pytest.approx([1, 0.5, 0.25, 0])


def test_eight_bits_without_window_keep_their_stored_range(write_dicom) -> None:
    assert values(write_dicom(np.array([[51, 102]], np.uint8))) == pytest.approx([0.2, 0.4])
    assert values(write_dicom(np.array([[51, 102]], np.uint8), RescaleSlope=3, RescaleIntercept=9)) == pytest.approx(
        [0.2, 0.4]
    )
    assert values(write_dicom(np.array([[-128, 127, -1]], np.int8))) == pytest.approx([0, 1, 127 / 255])
    assert values(write_dicom(np.array([[0, 15, 3]], np.uint8), BitsStored=4)) == pytest.approx([0, 1, 0.2])


def test_more_bits_without_window_span_their_values(write_dicom) -> None:
    assert values(write_dicom(np.array([[1000, 1500, 2000]], np.int16))) == pytest.approx([0, 0.5, 1])
    assert values(write_dicom(np.full((1, 2), 1000, np.uint16))) == [0, 0]


def test_padding_is_black_and_does_not_stretch_the_range(write_dicom) -> None:
    stored = np.array([[-2000, 1000, 1500, 2000]], np.int16)
    assert values(write_dicom(stored, PixelPaddingValue=-2000)) == pytest.approx([0, 0, 0.5, 1])
    inverted = write_dicom(stored, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1")
    assert values(inverted) == pytest.approx([0, 1, 0.5, 0])
    ranged = write_dicom(stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=1000)
    assert values(ranged) == pytest.approx([0, 0, 0, 1])


def test_fifteen_bits_in_sixteen_as_jpeg_2000(write_dicom) -> None:
    stored = (np.add.outer(np.arange(64), np.arange(48)) * 295).astype(np.uint16)
    assert 2**14 < stored.max() < 2**15
    elements: dict[str, Any] = {"BitsStored": 15, "WindowCenter": 16384, "WindowWidth": 32768}
    plain = read_image(write_dicom(stored, "plain.dcm", **elements))
    packed = read_image(write_dicom(stored, "packed.dcm", JPEG2000Lossless, **elements))
    assert torch.equal(packed.pixels, plain.pixels)
    np.testing.assert_allclose(plain.pixels[0], stored / 32767, atol=1e-6)
    assert plain.bit_depth == packed.bit_depth == 15
    inverted = read_image(
        write_dicom(32767 - stored, syntax=JPEG2000Lossless, PhotometricInterpretation="MONOCHROME1", **elements)
    )
    torch.testing.assert_close(inverted.pixels, plain.pixels, atol=1e-6, rtol=0)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("shape", [(40, 48), (40, 48, 3)])
def test_lossless_compression_changes_nothing(write_dicom, syntax: str, shape: tuple[int, ...]) -> None:
    stored = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels = read_image(write_dicom(stored, syntax=syntax)).pixels
    assert torch.equal(pixels, read_image(write_dicom(stored)).pixels)


@pytest.mark.parametrize("shape", [(40, 48), (40, 48, 3)])
def test_baseline_jpeg_is_decoded_as_pillow_does(write_dicom, tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = np.broadcast_to(np.linspace(0, 255, 48), (40, 48)).astype(np.uint8)
    picture = picture if len(shape) == 2 else np.stack([picture, picture[::-1], 255 - picture], axis=-1)
    Image.fromarray(picture).save(tmp_path / "picture.jpg", quality=95)
    header = pydicom.dcmread(write_dicom(picture))
    header.PixelData = encapsulate([(tmp_path / "picture.jpg").read_bytes()])
    header["PixelData"].is_undefined_length = True
    header.PhotometricInterpretation = "MONOCHROME2" if len(shape) == 2 else "YBR_FULL_422"
    header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    header.save_as(tmp_path / "jpeg.dcm")
    from_dicom = read_image(tmp_path / "jpeg.dcm").pixels
    torch.testing.assert_close(from_dicom, read_image(tmp_path / "picture.jpg").pixels, atol=1.1 / 255, rtol=0)


def test_overlay_bits_above_those_stored_are_ignored(write_dicom) -> None:
    stored = np.array([[0, 2048, 4095]], np.uint16)
    with_overlay = write_dicom(stored | 0x8000, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    assert values(with_overlay) == pytest.approx([0, 2048 / 4095, 1], abs=1e-3)


def test_big_endian_tables_and_pixels(write_dicom, tmp_path: Path) -> None:
    header = pydicom.dcmread(write_dicom(ROW, VOILUTSequence=table([0, 51, 255], 100, 8, "OW")))
    header.PixelData = ROW.astype(">u2").tobytes()
    header.VOILUTSequence[0].LUTData = np.array([0, 51, 255], ">u2").tobytes()
    header.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "big.dcm", header, implicit_vr=False, little_endian=False)
    assert values(tmp_path / "big.dcm") == pytest.approx([0, 0, 1, 1, 1])


def test_palette_colours(write_dicom) -> None:
    colours = np.array([[255, 0, 0], [0, 128, 0], [0, 0, 64], [9, 9, 9]], dtype=np.uint16) * 257
    elements: dict[str, Any] = {}
    for name, column in zip(("Red", "Green", "Blue"), colours.T, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        elements[f"{name}PaletteColorLookupTableData"] = column.astype("<u2").tobytes()
    stored = np.array([[3, 2], [1, 0]], dtype=np.uint8)
    image = read_image(write_dicom(stored, PhotometricInterpretation="PALETTE COLOR", **elements))
    np.testing.assert_allclose(image.pixels, np.moveaxis(colours[stored], -1, 0) / 65535, atol=1e-6)
    assert image.photometric == "PALETTE COLOR"


def test_ybr_becomes_rgb(write_dicom) -> None:
    red = np.array([76, 85, 255], dtype=np.uint8)  # of pure red, PS3.3 C.7.6.3.1.2
    path = write_dicom(np.tile(red, (2, 2, 1)), PhotometricInterpretation="YBR_FULL")
    np.testing.assert_allclose(read_image(path).pixels[:, 0, 0], [1, 0, 0], atol=0.01)


def test_an_enhanced_object_says_its_window_per_frame(write_dicom) -> None:
    rescale, window, shared, frame = Dataset(), Dataset(), Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = 2, -100
    window.WindowCenter, window.WindowWidth = 300.5, 401
    shared.PixelValueTransformationSequence = Sequence([rescale])
    frame.FrameVOILUTSequence = Sequence([window])
    path = write_dicom(
        ROW,
        NumberOfFrames=1,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence([frame]),
    )
    assert values(path) == pytest.approx([0, 0, 0.5, 1, 1])


def test_floating_point_pixels(write_dicom) -> None:
    path = write_dicom(np.array([[-1, 0, 3]], np.float32))
    assert values(path) == pytest.approx([0, 0.25, 1])
    assert read_image(path).bit_depth == 32


def test_a_file_without_preamble_is_known_by_its_suffix(write_dicom, tmp_path: Path) -> None:
    content = write_dicom(smooth := np.arange(6, dtype=np.uint8).reshape(2, 3)).read_bytes()
    header = pydicom.dcmread(tmp_path / "image.dcm")
    group_two = 144 + header.file_meta.FileMetaInformationGroupLength
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(content[group_two:])
    np.testing.assert_allclose(read_image(bare).pixels[0], smooth / 255, atol=1e-6)
    assert image_size(bare) == (2, 3)


def message(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_image(path)
    return str(caught.value)


def test_several_frames_are_an_error_with_their_number(write_dicom) -> None:
    path = write_dicom(np.zeros((4, 2), np.uint8), Rows=2, NumberOfFrames=2)
    assert message(path) == f"{path} holds 2 frames; save the one to read as a file of its own."


def test_an_object_without_image_is_an_error(write_dicom, tmp_path: Path) -> None:
    header = pydicom.dcmread(write_dicom(ROW))
    del header.PixelData
    header.save_as(path := tmp_path / "no_pixels.dcm")
    assert message(path) == f"{path} holds no DICOM image; leave it out, or export it again."
    path.write_text("some text that is longer than the preamble of a DICOM file " * 9)
    with pytest.raises(DataError, match=f"{path}"):
        image_size(path)


def test_a_truncated_file_is_an_error(write_dicom) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = write_dicom(noise)
    path.write_bytes(path.read_bytes()[:-100])
    assert message(path) == f"{path} is damaged or cut short; copy or export it again."
    path = write_dicom(noise, syntax=JPEG2000Lossless)
    path.write_bytes(path.read_bytes()[:700])
    assert str(path) in message(path)


def test_a_compression_without_decoder_is_an_error_with_the_mend(write_dicom, tmp_path: Path) -> None:
    header = pydicom.dcmread(write_dicom(np.zeros((4, 4), np.uint8), syntax=RLELossless))
    header.file_meta.TransferSyntaxUID = MPEG2MPML
    header.save_as(path := tmp_path / "film.dcm")
    assert message(path) == (
        f"{path} is compressed as MPEG2 Main Profile / Main Level, which no installed decoder reads; "
        "`pip install python-gdcm`, or decompress it first."
    )


def test_nothing_about_the_patient_is_said(
    write_dicom, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = write_dicom(ROW, "broken.dcm", NumberOfFrames=2)
    fine = write_dicom(ROW, PatientBirthDate="19990101", WindowCenter=200, WindowWidth=400)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said = message(broken) + str(read_image(fine))
    said += caplog.text + "".join(capfd.readouterr()) + "".join(str(warning.message) for warning in caught)
    assert "Secret" not in said
    assert "1999" not in said
