from __future__ import annotations

import os
import signal
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, SecondaryCaptureImageStorage
from tests.delivery.viewer.conftest import encoded, picture

from softcam.data.preprocessing import Preprocessing
from softcam.delivery.viewer.decoding import Decoder
from softcam.delivery.viewer.limits import Limits
from softcam.delivery.viewer.preparing import prepare
from softcam.errors import DataError

PREPROCESSINGS = (Preprocessing((16, 16)),)
LIMITS = Limits(decoding_bytes=256 * 2**20)
GOOD = encoded(picture())


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(PREPROCESSINGS, LIMITS)
    yield decoder
    decoder.close()


def still_decodes(decoder: Decoder) -> bool:
    here = prepare(GOOD, PREPROCESSINGS, 10**6)
    return torch.equal(decoder.prepare(GOOD).inputs[0], here.inputs[0])


def deflated_bomb(mebibytes: int) -> bytes:
    """A DICOM file of a few hundred kilobytes that unpacks to so much."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header, file = Dataset(), BytesIO()
    header.file_meta = meta
    pydicom.dcmwrite(file, header, enforce_file_format=True)
    return file.getvalue() + block * mebibytes + zlib.compressobj(wbits=-zlib.MAX_WBITS).flush()


def png_that_claims(width: int, height: int) -> bytes:
    """A picture of a few bytes with the header of a large one."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = encoded(np.zeros((8, 8), np.uint8))
    return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def test_it_works_in_a_process_of_its_own(decoder: Decoder) -> None:
    assert still_decodes(decoder)
    assert decoder.pid not in (None, os.getpid())


def test_the_process_is_kept_where_the_image_is_at_fault(decoder: Decoder) -> None:
    assert still_decodes(decoder)
    before = decoder.pid
    with pytest.raises(DataError, match=r"^the image is damaged or cut short"):
        decoder.prepare(GOOD[:300])
    assert still_decodes(decoder)
    assert decoder.pid == before


def test_a_process_that_died_is_replaced(decoder: Decoder) -> None:
    assert still_decodes(decoder)
    assert decoder.pid is not None
    before = decoder.pid
    os.kill(before, signal.SIGKILL)
    decoder._running[0].join()  # type: ignore[index]
    assert still_decodes(decoder)
    assert decoder.pid != before


def test_an_image_that_takes_too_long_ends_the_process_and_nothing_else() -> None:
    decoder = Decoder(PREPROCESSINGS, replace(LIMITS, decoding_seconds=0))
    with pytest.raises(DataError, match=r"^the image takes more than 0 s to decode; reduce it to read it\.$"):
        decoder.prepare(GOOD)
    assert decoder.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process in this way")
@pytest.mark.parametrize("size", [2, 4096], ids=["harmless", "bomb"])
def test_what_unpacks_without_end_is_stopped(decoder: Decoder, size: int) -> None:
    with pytest.raises(DataError, match=r"^the image (is damaged|takes more memory|holds no DICOM image)"):
        decoder.prepare(deflated_bomb(size))
    assert still_decodes(decoder)


def test_pictures_of_more_pixels_than_allowed_are_refused_by_their_header(decoder: Decoder) -> None:
    with pytest.raises(DataError, match=r"^the image has more pixels than can be safe; reduce it to read it\.$"):
        decoder.prepare(png_that_claims(40_000, 40_000))


def test_an_image_larger_than_a_pipe_comes_through(decoder: Decoder) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 900, 3)).astype(np.uint8)
    assert np.array_equal(decoder.prepare(encoded(pixels, "PPM")).view, pixels)
