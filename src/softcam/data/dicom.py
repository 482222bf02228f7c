"""DICOM pixels as they are meant to be looked at: modality LUT, then VOI, then MONOCHROME1 inverted.

Only the elements that describe the pixels are read, so nothing about the patient is ever in memory, in a
warning or in a message. Section numbers are those of DICOM PS3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from softcam.errors import DataError

Array = NDArray[Any]
Floats = NDArray[np.float32]

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_COLOURS = ("Red", "Green", "Blue")
_KEYWORDS = (
    *_PIXELS,
    *_FUNCTIONAL_GROUPS,
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS),
    *(f"{colour}PaletteColorLookupTableData" for colour in _COLOURS),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in _COLOURS),
)
_ELEMENTS = [Tag(keyword) for keyword in _KEYWORDS]
_SIZE_ELEMENTS = [Tag("Rows"), Tag("Columns")]


@dataclass(frozen=True)
class DicomImage:
    """A DICOM image ready to be looked at.

    Attributes:
        pixels: ``(C, H, W)`` float32 in [0, 1], one channel or three, 0 black.
        bit_depth: Bits stored per sample.
        photometric: Photometric interpretation of the file, such as ``"MONOCHROME1"``.
    """

    pixels: Floats
    bit_depth: int
    photometric: str


def dicom_size(file: BinaryIO, path: Path) -> tuple[int, int]:
    """Read height and width of a DICOM image in pixels, without its pixel data.

    Args:
        file: The opened file.
        path: Its name, for messages.

    Raises:
        DataError: If the file says nothing about an image.
    """
    return _size(_read(file, _SIZE_ELEMENTS, stop_before_pixels=True), path)


def read_dicom(file: BinaryIO, path: Path, max_pixels: int) -> DicomImage:
    """Decode a single-frame DICOM image.

    Grey values take the way that the standard prescribes: modality LUT or rescale (C.11.1), VOI LUT or first
    window (C.11.2), then MONOCHROME1 is inverted, so that white is always the high value. Where there is
    neither VOI LUT nor window, images of up to 8 bits keep their stored range, as the same picture in a PNG
    does, and deeper ones, which rarely fill theirs, span from their least to their greatest value. Padding
    pixels (C.7.5.1.1.2) become black and do not count for that range.

    Args:
        file: The opened file.
        path: Its name, for messages.
        max_pixels: Larger images are refused.

    Raises:
        DataError: If the file holds no image or several, cannot be decoded, or has pixels that are NaN or
            infinite.
    """
    header = _read(file, _ELEMENTS)
    height, width = _size(header, path)
    if height * width > max_pixels:
        raise DataError(f"{path} has more pixels than can be safe; reduce it to read it.")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise DataError(f"{path} holds {frames} frames; save the one to read as a file of its own.")
    stored = _decode(header, path)
    _apply_functional_groups(header)
    photometric = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise DataError(f"{path} has NaN or infinite pixels; replace them before saving it.")
    pixels = _colour(header, stored, photometric) if _is_colour(stored, photometric) else _grey(header, stored)
    if np.isnan(pixels.min()):
        raise DataError(f"{path} has a rescaling or a window beyond all numbers; export it again.")
    return DicomImage(pixels, int(header.get("BitsStored", 8 * stored.itemsize)), photometric)


def _read(file: BinaryIO, elements: Sequence[BaseTag], stop_before_pixels: bool = False) -> Dataset:
    header = pydicom.dcmread(file, force=True, specific_tags=list(elements), stop_before_pixels=stop_before_pixels)
    if not hasattr(header, "file_meta") or "TransferSyntaxUID" not in header.file_meta:
        header.ensure_file_meta()
        header.file_meta.TransferSyntaxUID = _guessed_syntax(header)
    return header


def _guessed_syntax(header: Dataset) -> UID:
    implicit, little_endian = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _size(header: Dataset, path: Path) -> tuple[int, int]:
    height, width = header.get("Rows"), header.get("Columns")
    if not height or not width:
        raise DataError(f"{path} holds no DICOM image; leave it out, or export it again.")
    return int(height), int(width)


def _decode(header: Dataset, path: Path) -> Array:
    if not any(keyword in header for keyword in _PIXELS):
        raise DataError(f"{path} holds no DICOM image; leave it out, or export it again.")
    syntax = header.file_meta.TransferSyntaxUID
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise DataError(
            f"{path} is compressed as {syntax.name}, which no installed decoder reads; "
            "`pip install python-gdcm`, or decompress it first."
        )
    try:
        return pixel_array(header)
    except RuntimeError as error:
        raise DataError(
            f"{path} ({syntax.name}) is read by no installed decoder: it is damaged, or needs "
            "`pip install python-gdcm`."
        ) from error


def _apply_functional_groups(header: Dataset) -> None:
    """Bring what enhanced objects say per frame (C.7.6.16) to where classic objects say it."""
    for keyword in _FUNCTIONAL_GROUPS:
        for group in header.get(keyword) or ():
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for item in group.get(macro) or ():
                    header.update(item)


def _is_colour(stored: Array, photometric: str) -> bool:
    return stored.ndim == 3 or photometric == "PALETTE COLOR"


def _colour(header: Dataset, stored: Array, photometric: str) -> Floats:
    """Scale colours ``(H, W, 3)`` to ``(3, H, W)`` in [0, 1]; pydicom has made YBR to RGB already."""
    bits = int(header.BitsStored)
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
        bits = 8 * stored.itemsize
    planes = np.moveaxis(stored[..., :3], -1, 0)
    pixels: Floats = np.divide(planes, 2**bits - 1, dtype=np.float32, order="C")
    return pixels


def _grey(header: Dataset, stored: Array) -> Floats:
    padding = _padding(header, stored)
    pixels = _values_of_interest(header, _modality(header, stored), padding)
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        np.subtract(1, pixels, out=pixels)
    if padding is not None:
        pixels[padding] = 0
    return pixels[None]


def _padding(header: Dataset, stored: Array) -> NDArray[np.bool_] | None:
    value = _number(header, "PixelPaddingValue")
    if value is None:
        return None
    limit = _number(header, "PixelPaddingRangeLimit")
    low, high = sorted((value, value if limit is None else limit))
    mask = (stored >= low) & (stored <= high)
    return mask if mask.any() else None


def _modality(header: Dataset, stored: Array) -> Array:
    """Apply the modality LUT or the rescaling (C.11.1); without either return ``stored`` itself."""
    if header.get("ModalityLUTSequence"):
        return LookupTable.parse(header, "ModalityLUTSequence").look_up(stored)
    slope, intercept = _number(header, "RescaleSlope"), _number(header, "RescaleIntercept")
    if slope in (None, 1) and intercept in (None, 0):
        return stored
    values = stored.astype(np.float32)
    values *= np.float32(1 if slope is None else slope)
    values += np.float32(intercept or 0)
    return values


def _values_of_interest(header: Dataset, values: Array, padding: NDArray[np.bool_] | None) -> Floats:
    """Map modality values to [0, 1] by the VOI LUT, the first window, or their range (C.11.2)."""
    if header.get("VOILUTSequence"):
        table = LookupTable.parse(header, "VOILUTSequence")
        return _stretched(table.look_up(values), 0, table.greatest)
    center, width = _number(header, "WindowCenter"), _number(header, "WindowWidth")
    if center is None or width is None or width <= 0:
        return _stretched(values, *_value_range(header, values, padding))
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if function == "SIGMOID":
        return _sigmoid(values, center, width)
    if function != "LINEAR_EXACT":
        # C.11.2.1.2.1: whole numbers stand for the middle of what they cover. A width of 1 is a step.
        center, width = center - 0.5, max(width - 1, 1e-6)
    return _stretched(values, center - width / 2, center + width / 2)


def _sigmoid(values: Array, center: float, width: float) -> Floats:
    """Apply C.11.2.1.3.1, ``1 / (1 + exp(-4 (x - center) / width))``, as a tanh, which cannot overflow."""
    pixels = values.astype(np.float32)
    pixels -= np.float32(center)
    pixels *= np.float32(2 / width)
    np.tanh(pixels, out=pixels)
    pixels += 1
    pixels *= np.float32(0.5)
    return pixels


def _value_range(header: Dataset, values: Array, padding: NDArray[np.bool_] | None) -> tuple[float, float]:
    bits = int(header.get("BitsStored", 16))
    if bits <= 8:
        lowest = -(2 ** (bits - 1)) if header.get("PixelRepresentation") else 0
        values, padding = _modality(header, np.array([lowest, lowest + 2**bits - 1])), None
    if padding is not None:
        values = values[~padding]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def _stretched(values: Array, low: float, high: float) -> Floats:
    """Map [low, high] to [0, 1] and clip, in one float32 buffer; a flat image becomes black."""
    pixels = values.astype(np.float32)
    pixels -= np.float32(low)
    pixels *= np.float32(1 / (high - low) if high > low else 0)
    return np.clip(pixels, 0, 1, out=pixels)


def _number(header: Dataset, keyword: str) -> float | None:
    """Return the first value of an element, or None where it is missing or empty."""
    value = header.get(keyword)
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if value else None
    if value is None or value == "":
        return None
    if not math.isfinite(float(value)):
        raise ValueError(f"{keyword} is not finite")
    return float(value)


@dataclass(frozen=True)
class LookupTable:
    """A DICOM lookup table (C.11.1.1, C.11.2.1.1).

    Attributes:
        entries: ``(L,)`` outputs.
        first: The input that the first entry is for; lower inputs get the first entry, higher ones than the
            table has the last.
        greatest: The greatest output that its number of bits allows.
    """

    entries: Floats
    first: int
    greatest: int

    @classmethod
    def parse(cls, header: Dataset, sequence: str) -> LookupTable:
        """Read the first table of a sequence, which may be stored as bytes, packed bytes, or words."""
        item = header[sequence].value[0]
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        count = count % 2**16 or 2**16  # 0 stands for 65536, and a large count may have been read as signed
        data = item.LUTData
        if isinstance(data, bytes):
            kind = np.uint8 if len(data) < 2 * count else np.dtype(np.uint16).newbyteorder(_byte_order(header))
            data = np.frombuffer(data, dtype=kind)[:count]
        return cls(np.atleast_1d(np.asarray(data, dtype=np.float32)), first, 2**bits - 1)

    def look_up(self, values: Array) -> Floats:
        """Replace every value by its entry."""
        positions = np.rint(values).astype(np.int64)
        positions -= self.first
        return np.take(self.entries, positions, mode="clip")


def _byte_order(header: Dataset) -> Literal["<", ">"]:
    return ">" if header.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
