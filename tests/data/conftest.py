from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

WriteDicom = Callable[..., Path]


@pytest.fixture
def write_dicom(tmp_path: Path) -> WriteDicom:
    """Write pixels ``(H, W)`` or ``(H, W, 3)`` as a DICOM file; keywords set or replace elements."""

    def write(
        pixels: np.ndarray,
        name: str = "image.dcm",
        syntax: str = ExplicitVRLittleEndian,
        **elements: Any,
    ) -> Path:
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        header.PatientName = "Secret^Patient"
        header.Rows, header.Columns = pixels.shape[:2]
        header.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
        if pixels.ndim == 3:
            header.PlanarConfiguration = 0
        header.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
        header.BitsAllocated = 8 * pixels.itemsize
        header.BitsStored = elements.get("BitsStored", header.BitsAllocated)
        header.HighBit = header.BitsStored - 1
        header.PixelRepresentation = int(pixels.dtype.kind == "i")
        if pixels.dtype.kind == "f":
            header.FloatPixelData = pixels.astype("<f4").tobytes()
            del header.BitsStored, header.HighBit, header.PixelRepresentation
        else:
            header.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
            header["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
        for keyword, value in elements.items():
            setattr(header, keyword, value)
        if syntax != ExplicitVRLittleEndian:
            header.compress(syntax)
        path = tmp_path / name
        header.save_as(path, enforce_file_format=True)
        return path

    return write
