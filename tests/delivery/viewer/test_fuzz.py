"""Files that no honest program writes: every one gets an answer, and the viewer lives on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless
from tests.delivery.viewer.conftest import LIMITS, encoded, picture, serving, viewed

from softcam.delivery.viewer.app import create_app

GREY = picture(1, (40, 48))[..., 0]
ANSWERS = {200, 413, 422}


def dicom(syntax: str, **elements: object) -> bytes:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    header.Rows, header.Columns = GREY.shape
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit = 7
    header.WindowCenter, header.WindowWidth = 127.5, 255
    header.PixelData = GREY.tobytes()
    if syntax == RLELossless:
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.compress(RLELossless, generate_instance_uid=False)
    elif syntax != ExplicitVRLittleEndian:
        format = "JPEG" if syntax == JPEGBaseline8Bit else "JPEG2000"
        header.PixelData = encapsulate([encoded(GREY, format, **({"no_jp2": True} if format == "JPEG2000" else {}))])
        header["PixelData"].VR = "OB"
        header["PixelData"].is_undefined_length = True
    for name, value in elements.items():
        setattr(header, name, value)
    file = BytesIO()
    pydicom.dcmwrite(file, header, enforce_file_format=True)
    return file.getvalue()


def corpus() -> list[bytes]:
    colour = picture(2, (30, 44))
    pictures = [encoded(colour, format) for format in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")]
    pictures.append(encoded(colour, "TIFF", compression="tiff_lzw"))
    pictures.append(encoded(np.arange(900, dtype=np.uint16).reshape(30, 30)))
    syntaxes = (ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEG2000Lossless, RLELossless)
    return [*pictures, *map(dicom, syntaxes)]


def mutate(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Change a file in one to four of the ways in which files break or are broken."""
    broken = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(broken) + 1)
        length = chance.choice((1, 2, 4, 64, 1024))
        kind = chance.randrange(6)
        if kind == 0:
            del broken[at:]
        elif kind == 1:
            broken[at : at + length] = chance.randbytes(length)
        elif kind == 2:
            broken[at : at + length] = bytes([chance.choice((0, 0xFF, 0x7F, 0x80))]) * length
        elif kind == 3:
            broken[at:at] = broken[at : at + length]
        elif kind == 4:
            start = chance.randrange(len(other))
            broken[at : at + length] = other[start : start + length]
        else:
            for position in (chance.randrange(min(512, len(broken) or 1)) for _ in range(3)):
                if position < len(broken):
                    broken[position] ^= 1 << chance.randrange(8)
        if not broken:
            break
    return bytes(broken)


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[TestClient]:
    limits = replace(LIMITS, upload_bytes=2**20, pixels=2**20, decoding_bytes=512 * 2**20)
    with serving(create_app([viewed()], limits=limits)) as client:
        yield client


def check(client: TestClient, data: bytes) -> int:
    answer = client.post("/api/explain", content=data)
    assert answer.status_code in ANSWERS, answer.text
    if answer.status_code != 200:
        sentence = answer.json()["error"]
        assert sentence.startswith("the image "), sentence
        assert "Traceback" not in sentence
    return answer.status_code


def alive(client: TestClient) -> bool:
    return client.post("/api/explain", content=encoded(picture())).status_code == 200


def fuzz(client: TestClient, count: int, seed: int) -> list[int]:
    chance, files = random.Random(seed), corpus()
    return [check(client, mutate(chance.choice(files), chance.choice(files), chance)) for _ in range(count)]


def test_the_files_are_sound_before_they_are_broken(fuzzed: TestClient) -> None:
    assert {check(fuzzed, data) for data in corpus()} == {200}


def test_hundreds_of_broken_files(fuzzed: TestClient) -> None:
    statuses = fuzz(fuzzed, 200, seed=0)
    assert statuses.count(422) > 60
    assert alive(fuzzed)


@pytest.mark.slow
def test_ten_thousand_broken_files(fuzzed: TestClient) -> None:
    fuzz(fuzzed, 10_000, seed=1)
    assert alive(fuzzed)


@pytest.mark.parametrize(
    "elements",
    [
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 0},
        {"SamplesPerPixel": 3},
        {"SamplesPerPixel": 60000},
        {"BitsAllocated": 64, "BitsStored": 64, "HighBit": 63},
        {"BitsAllocated": 1},
        {"NumberOfFrames": 2000000000},
        {"NumberOfFrames": -1},
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"RescaleSlope": "1e300", "RescaleIntercept": "-1e300"},
        {"WindowCenter": "1e300"},
        {"PixelData": b""},
    ],
    ids=str,
)
def test_dicom_headers_that_lie(fuzzed: TestClient, elements: dict[str, object]) -> None:
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    assert check(fuzzed, dicom(ExplicitVRLittleEndian, **elements)) == 422
    assert alive(fuzzed)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("data", corpus(), ids=lambda data: repr(data[:4]))
def test_files_that_are_cut_short(fuzzed: TestClient, data: bytes, share: float) -> None:
    check(fuzzed, data[: int(share * len(data))])


def test_files_of_two_kinds_at_once(fuzzed: TestClient) -> None:
    png, jpeg, scan = encoded(picture()), encoded(picture(), "JPEG"), dicom(ExplicitVRLittleEndian)
    page = b"<html><script>alert(1)</script></html>"
    hidden = b"\x89PNG\r\n\x1a\n".ljust(128, b"\0") + scan[128:]  # DICOM allows anything in its preamble
    for data in (
        png + jpeg,
        png + page,
        jpeg + scan,
        page + png,
        hidden,
        b"%PDF-1.7\n" + scan[9:],
        png[:128] + scan[128:],
    ):
        check(fuzzed, data)
    answer = fuzzed.post("/api/explain", content=hidden)
    assert answer.json()["image"]["format"] == "DICOM"
    assert answer.headers["content-type"] == "application/json"
    assert alive(fuzzed)


def test_a_codestream_that_claims_more_than_its_header(fuzzed: TestClient) -> None:
    data = bytearray(dicom(JPEG2000Lossless))
    size = data.index(b"\xff\x51") + 6  # of the image in the codestream's SIZ marker
    for offset in (0, 4, 16, 20):
        data[size + offset : size + offset + 4] = (50_000).to_bytes(4, "big")
    assert check(fuzzed, bytes(data)) == 422
    assert alive(fuzzed)


def test_many_pages_and_animations_are_refused(fuzzed: TestClient) -> None:
    pages = [Image.fromarray(picture(seed)) for seed in range(3)]
    for format in ("TIFF", "GIF", "WEBP", "PNG"):
        file = BytesIO()
        pages[0].save(file, format, save_all=True, append_images=pages[1:])
        assert check(fuzzed, file.getvalue()) == 422
