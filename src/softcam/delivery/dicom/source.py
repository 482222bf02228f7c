"""The header of a DICOM image, as far as objects about it need it.

Patients' names are in there. Nothing of it may go into a message, a log or a file name but the UID of the instance.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.valuerep import validate_value

from softcam.errors import DataError

_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_one_at_a_time = threading.Lock()


def read_header(path: Path) -> Dataset:
    """Read the header of a DICOM image, without its pixels.

    Elements that the standard wants but allows to be empty are there afterwards; those with a value that the standard
    forbids, which some devices write, are emptied or left out, so that they do not spread.

    Args:
        path: The file.

    Raises:
        DataError: It is no DICOM file, or lacks what results must refer to.
    """
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        raise DataError(f"{path} is no DICOM file, so there is nothing that DICOM results could refer to") from None
    missing = [name for name in _IDENTIFIERS if not header.get(name)]
    if missing:
        raise DataError(f"{path} has no {missing[0]}, to which DICOM results must refer; export it again")
    _remove_invalid(header)
    for name in _MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, None)
    return header


@contextmanager
def discreet(path: Path) -> Iterator[None]:
    """Let nothing that a library says of a header's content out of the block, be it a warning or an error.

    Raises:
        DataError: In place of an error of pydicom or highdicom.
    """
    try:
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DataError, OSError, MemoryError):
        raise
    except Exception as error:  # whose message may hold values of the header
        raise DataError(
            f"{path} has a header of which no DICOM results can be made ({type(error).__name__}); export it again"
        ) from None


def _remove_invalid(header: Dataset) -> None:
    for element in list(header):
        try:
            for value in element.value if element.VM > 1 else [element.value]:
                validate_value(element.VR, value, config.RAISE)
        except (ValueError, TypeError, AttributeError):
            if element.keyword not in _IDENTIFIERS:
                del header[element.tag]
