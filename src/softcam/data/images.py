"""One decoder for every image: a file in, a float image and its facts out.

The same picture saved as PNG, JPEG, TIFF, BMP, WebP or DICOM, at 8 or 16 bits, grey or colour, gives the same
tensor, as far as the format keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from softcam.errors import DataError

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = DICOM_SUFFIXES | {
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".pbm")
}

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
_DICOM_MAGIC = slice(128, 132), b"DICM"
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what Pillow uses; sums to 1, so that white stays white
_SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations that swap height and width
_WHITE_IS_ZERO, _SIGNED, _UNCOMPRESSED = 0, 2, 1  # TIFF 6.0: photometric, sample format, compression
_TOO_LARGE = "has more pixels than can be safe; reduce it to read it."


@dataclass(frozen=True)
class DecodedImage:
    """An image and the facts about its file.

    Attributes:
        pixels: ``(C, H, W)`` float32 in [0, 1]; one channel for grey, three for RGB; 0 is black.
        path: The file.
        format: ``"PNG"``, ``"JPEG"``, ``"DICOM"``, ...
        bit_depth: Bits per sample in the file.
        photometric: What the samples meant in the file: Pillow's mode, such as ``"L"`` or ``"CMYK"``, or
            DICOM's photometric interpretation, such as ``"MONOCHROME1"``.
    """

    pixels: Tensor
    path: Path
    format: str
    bit_depth: int
    photometric: str


def read_image(path: str | Path) -> DecodedImage:
    """Decode an image file.

    PNG, JPEG, TIFF, BMP, WebP, GIF, PPM and DICOM are told apart by their content. Whole numbers are scaled
    by the greatest number that their bits allow; floating-point images must lie in [0, 1] already.
    Transparency is laid on black, palettes, CMYK and YCbCr become RGB, the EXIF orientation is applied. For
    what happens to DICOM grey values see `softcam.data.dicom.read_dicom`. Pillow reads colour images of 16
    bits per channel at 8.

    Args:
        path: The file.

    Returns:
        The image.

    Raises:
        DataError: If the file is missing, empty, damaged, no image, holds several images, is too large to be
            safe (twice ``PIL.Image.MAX_IMAGE_PIXELS``), or has pixels that are NaN, infinite or out of range.
    """
    path = Path(path)
    with _opened(path) as (file, is_dicom):
        return _read(file, path, is_dicom, 2 * (Image.MAX_IMAGE_PIXELS or 2**62))


def decode_image(data: bytes, name: str, max_pixels: int) -> DecodedImage:
    """Decode an image in memory, as `read_image` decodes a file.

    Args:
        data: The content of a file. DICOM is told by its preamble, which files without a name cannot do without.
        name: What messages call it; also the ``path`` of the image.
        max_pixels: Larger images are refused, before their pixels are decoded.

    Returns:
        The image.

    Raises:
        DataError: As of `read_image`.
    """
    path = Path(name)
    with _opened(path, data) as (file, is_dicom):
        return _read(file, path, is_dicom, max_pixels)


def image_size(path: str | Path) -> tuple[int, int]:
    """Read height and width in pixels from the header alone, as `read_image` would give them.

    Args:
        path: The file.

    Returns:
        ``(H, W)``.

    Raises:
        DataError: If the file is missing, empty or no image.
    """
    path = Path(path)
    with _opened(path) as (file, is_dicom):
        if is_dicom:
            from softcam.data.dicom import dicom_size

            return dicom_size(file, path)
        with Image.open(file, formats=_FORMATS) as image:
            return _upright_size(image)


def find_images(path: str | Path) -> list[Path]:
    """List the images in a folder and the folders below it.

    Args:
        path: A folder, or a single file, which is listed whatever its name is. In a folder, files are taken
            by suffix, DICOM files also by content, because archives name them without one. Hidden files and
            ``DICOMDIR`` are left out.

    Returns:
        The files, sorted.

    Raises:
        DataError: If there is nothing at ``path``, or no image in the folder.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path} does not exist; check the path.")
    images = sorted(file for file in path.rglob("*") if _is_listed(file, path))
    if not images:
        raise DataError(f"{path} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); name another folder.")
    return images


def match_channels(pixels: Tensor, channels: int) -> Tensor:
    """Make an image grey or colour, as a network asks for it.

    Args:
        pixels: ``(C, H, W)``.
        channels: Channels to have. One channel is repeated as often as needed (as a view, without copying);
            three become one by their luma.

    Returns:
        ``(channels, H, W)``.

    Raises:
        DataError: If there is no way from one to the other.
    """
    present = pixels.shape[-3]
    if present == channels:
        return pixels
    if present == 1:
        return pixels.expand(*pixels.shape[:-3], channels, -1, -1)
    if present == 3 and channels == 1:
        weights = torch.tensor(_LUMA, dtype=pixels.dtype, device=pixels.device)
        return torch.einsum("...chw,c->...hw", pixels, weights).unsqueeze(-3)
    raise DataError(f"An image of {present} channels cannot become one of {channels}; use a network for 1 or 3.")


@contextmanager
def _opened(path: Path, data: bytes | None = None) -> Iterator[tuple[BinaryIO, bool]]:
    """Open a file, or what it holds, say whether it is DICOM, and turn every failure in the block into a DataError."""
    try:
        with path.open("rb") if data is None else BytesIO(data) as file:
            if not file.read(1):
                raise DataError(f"{path} is empty; copy or export it again.")
            yield file, _has_dicom_magic(file) or path.suffix.lower() in DICOM_SUFFIXES
    except (DataError, ImportError, MemoryError):
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} does not exist; check the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not an image; name a file in it.") from None
    except PermissionError:
        raise DataError(f"{path} may not be read by this user; change its permissions.") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is no image that softcam reads ({', '.join(_FORMATS)}, DICOM); convert it to PNG."
        ) from None
    except Image.DecompressionBombError:
        raise DataError(f"{path} {_TOO_LARGE}") from None
    except Exception as error:  # whatever a decoder stumbles over, it is the file that is broken
        raise DataError(f"{path} is damaged or cut short; copy or export it again.") from error


def _has_dicom_magic(file: BinaryIO) -> bool:
    place, magic = _DICOM_MAGIC
    file.seek(0)
    start = file.read(place.stop)
    file.seek(0)
    return start[place] == magic


def _is_listed(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    if hidden or file.name == "DICOMDIR" or not file.is_file():
        return False
    if file.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with file.open("rb") as opened:
            return _has_dicom_magic(opened)
    except OSError:  # not to be read, so not to be recognised
        return False


def _read(file: BinaryIO, path: Path, is_dicom: bool, max_pixels: int) -> DecodedImage:
    return _read_dicom(file, path, max_pixels) if is_dicom else _read_picture(file, path, max_pixels)


def _read_dicom(file: BinaryIO, path: Path, max_pixels: int) -> DecodedImage:
    from softcam.data.dicom import read_dicom

    image = read_dicom(file, path, max_pixels)
    return DecodedImage(torch.from_numpy(image.pixels), path, "DICOM", image.bit_depth, image.photometric)


def _read_picture(file: BinaryIO, path: Path, max_pixels: int) -> DecodedImage:
    with Image.open(file, formats=_FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise DataError(f"{path} {_TOO_LARGE}")
        mode, kind = image.mode, image.format or ""
        pages = 1 if kind == "MPO" else getattr(image, "n_frames", 1)  # MPO: a JPEG with previews behind it
        if pages > 1:
            raise DataError(f"{path} holds {pages} images; save the one to read as a file of its own.")
        bits = _bit_depth(image)
        pixels = _deep_pixels(image, bits, path) if mode.startswith(("I", "F")) else _byte_pixels(image)
    return DecodedImage(torch.from_numpy(pixels), path, "JPEG" if kind == "MPO" else kind, bits, mode)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # whose size may be turned already, or not
        height = image.tag_v2[TiffImagePlugin.IMAGELENGTH]
        width = image.tag_v2[TiffImagePlugin.IMAGEWIDTH]
    else:
        width, height = image.size
    # The base class, because the one of PNG decodes the whole image.
    sideways = Image.Image.getexif(image).get(ExifTags.Base.Orientation) in _SIDEWAYS
    return (width, height) if sideways else (height, width)


def _tiff_tag(image: Image.Image, tag: int) -> int | None:
    """Return the first value of a TIFF tag; None for other formats and missing tags."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    value = image.tag_v2.get(tag)
    return value[0] if isinstance(value, tuple) else value


def _bit_depth(image: Image.Image) -> int:
    if image.mode.startswith(("I", "F")):
        deep = 32 if image.mode == "F" else 16
        return _tiff_tag(image, TiffImagePlugin.BITSPERSAMPLE) or deep
    return 1 if image.mode == "1" else 8


def _byte_pixels(image: Image.Image) -> NDArray[np.float32]:
    """Scale an image of at most 8 bits to ``(C, H, W)``, without its alpha, which is laid on black."""
    ImageOps.exif_transpose(image, in_place=True)
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = "A" if image.has_transparency_data else ""
    mode = ("L" if grey else "RGB") + alpha
    if image.mode != mode:
        image = image.convert(mode)
    bands = image.split() if len(mode) > 1 else (image,)
    pixels = np.empty((len(bands), image.height, image.width), dtype=np.float32)
    for plane, band in zip(pixels, bands, strict=True):
        np.copyto(plane, np.asarray(band))
    pixels /= np.float32(255)
    if alpha:
        pixels[:-1] *= pixels[-1]
        pixels = pixels[:-1]
    return pixels


def _deep_pixels(image: Image.Image, bits: int, path: Path) -> NDArray[np.float32]:
    """Scale a grey image of more than 8 bits to ``(1, H, W)``."""
    _refuse_misread_tiff(image, path)
    white_is_zero = _tiff_tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
    signed = _tiff_tag(image, TiffImagePlugin.SAMPLEFORMAT) == _SIGNED
    ImageOps.exif_transpose(image, in_place=True)
    values = np.asarray(image)
    if bits == 32 and values.dtype.kind == "i" and not signed:
        values = values.view(np.uint32)
    greatest = 1 if values.dtype.kind == "f" else 2 ** (bits - signed) - 1
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all():
        raise DataError(f"{path} has NaN or infinite pixels; replace them before saving it.")
    if low < 0 or high > greatest:
        raise DataError(f"{path} has pixels from {low:g} to {high:g}; scale them to [0, {greatest}].")
    pixels: NDArray[np.float32] = np.divide(values, greatest, dtype=np.float32)
    if white_is_zero:  # Pillow inverts these up to 8 bits only
        np.subtract(1, pixels, out=pixels)
    return pixels[None]


def _refuse_misread_tiff(image: Image.Image, path: Path) -> None:
    """Refuse what Pillow (seen in 13.0) gives with swapped bytes."""
    if (
        isinstance(image, TiffImagePlugin.TiffImageFile)
        and image.mode in ("I", "F")
        and image.tag_v2.prefix == b"MM"
        and _tiff_tag(image, TiffImagePlugin.COMPRESSION) != _UNCOMPRESSED
    ):
        raise DataError(f"{path} is a compressed big-endian TIFF of 32 bits or signed; save it uncompressed.")
