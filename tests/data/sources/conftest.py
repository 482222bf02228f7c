"""Miniature data sets in the layouts that the real ones come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

MakeImage = Callable[..., Path]


@pytest.fixture
def make_image() -> MakeImage:
    def make(path: Path, width: int = 8, height: int = 8) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".dcm":
            _write_dicom(path, width, height)
        else:
            Image.new("L", (width, height), 99).save(path)
        return path

    return make


def _write_dicom(path: Path, width: int, height: int) -> None:
    image = Dataset()
    image.SOPClassUID = ComputedRadiographyImageStorage
    image.SOPInstanceUID = generate_uid()
    image.PatientID = path.stem
    image.Modality = "CR"
    image.Rows, image.Columns = height, width
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.PixelData = np.full((height, width), 99, np.uint8).tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)
