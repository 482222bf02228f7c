"""How fast images are read, beside Pillow and pydicom alone.

Two baselines per kind of file: the library's decoding alone, which ends with integers, and the same float tensor
made with the library's and torchvision's own functions. Prints a table and writes JSON with ``--out``.

    python benchmarks/decode.py --size 1024 --out decode.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)
from torchvision.transforms.v2 import functional as F

from softcam.data.images import read_image
from softcam.files import atomic_path


def picture(size: int, seed: int = 0) -> np.ndarray:
    """A grey picture in [0, 1] with structure at all scales, so that compression has work as on a radiograph."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        F.resize(torch.rand(1, side, side, generator=generator), [size, size], antialias=True) * side**-0.7
        for side in (4, 16, 64, 256)
    ]
    total = torch.stack(layers).sum(0)[0]
    total = (total - total.min()) / (total.max() - total.min())
    return (total + 0.004 * torch.randn(size, size, generator=generator)).clamp(0, 1).numpy()


def write_dicom(path: Path, stored: np.ndarray, bits: int, syntax: str) -> None:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    header.Rows, header.Columns = stored.shape
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 8 * stored.itemsize, bits, bits - 1
    header.RescaleSlope, header.RescaleIntercept = 1, 0
    header.WindowCenter, header.WindowWidth = 2 ** (bits - 1), 2**bits
    header.PixelData = stored.tobytes()
    if syntax == JPEGBaseline8Bit:
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
            Image.fromarray(stored).save(file.name, quality=90)
            header.PixelData = encapsulate([Path(file.name).read_bytes()])
        header["PixelData"].is_undefined_length = True
        header.file_meta.TransferSyntaxUID = syntax
    elif syntax != ExplicitVRLittleEndian:
        header.compress(syntax)
    header.save_as(path, enforce_file_format=True)


def write_files(folder: Path, size: int) -> dict[str, Path]:
    grey = picture(size)
    colour = np.stack([grey, grey**1.5, grey**2], axis=-1)
    bytes_, words = np.round(grey * 255).astype(np.uint8), np.round(grey * 4095).astype(np.uint16)
    files = {
        "PNG, grey": (Image.fromarray(bytes_), "grey.png"),
        "PNG, colour": (Image.fromarray(np.round(colour * 255).astype(np.uint8)), "colour.png"),
        "PNG, grey, 16 bit": (Image.fromarray(words * 16), "deep.png"),
        "JPEG, grey": (Image.fromarray(bytes_), "grey.jpg"),
        "JPEG, colour": (Image.fromarray(np.round(colour * 255).astype(np.uint8)), "colour.jpg"),
    }
    for image, name in files.values():
        image.save(folder / name)
    dicom = {
        "DICOM, raw, 8 bit": (bytes_, 8, ExplicitVRLittleEndian),
        "DICOM, raw, 12 bit": (words, 12, ExplicitVRLittleEndian),
        "DICOM, JPEG, 8 bit": (bytes_, 8, JPEGBaseline8Bit),
        "DICOM, RLE, 12 bit": (words, 12, RLELossless),
        "DICOM, JPEG 2000, 12 bit": (words, 12, JPEG2000Lossless),
    }
    paths = {kind: folder / name for kind, (_, name) in files.items()}
    for number, (kind, arguments) in enumerate(dicom.items()):
        paths[kind] = folder / f"{number}.dcm"
        write_dicom(paths[kind], *arguments)
    return paths


def decode_alone(path: Path) -> Any:
    if path.suffix == ".dcm":
        return pydicom.dcmread(path).pixel_array
    return np.asarray(Image.open(path))


def float_image(path: Path) -> torch.Tensor:
    if path.suffix != ".dcm":
        return F.to_dtype(F.pil_to_tensor(Image.open(path)), torch.float32, scale=True).contiguous()
    header = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(header.pixel_array, header), header)
    return torch.from_numpy((values / (2**header.BitsStored - 1)).astype(np.float32))[None]


def time_side_by_side(functions: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Median seconds per call, the calls taking turns so that all meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    end = time.perf_counter() + seconds * len(functions)
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(path: Path, seconds: float) -> dict[str, float]:
    difference = (read_image(path).pixels - float_image(path)).abs().max().item()
    if difference > 1e-4:
        raise SystemExit(f"{path.name}: the two images differ by {difference}, so their times do not compare.")
    taken = time_side_by_side(
        {
            "softcam": lambda: read_image(path),
            "alone": lambda: decode_alone(path),
            "same": lambda: float_image(path),
        },
        seconds,
    )
    return {
        "of_same_image": taken["same"] / taken["softcam"],
        "of_decoding_alone": taken["alone"] / taken["softcam"],
        "softcam_images_per_s": 1 / taken["softcam"],
        "same_image_per_s": 1 / taken["same"],
        "decoding_alone_per_s": 1 / taken["alone"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="height and width in pixels")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each measurement")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), arguments.size)
        rows = {kind: measure(path, arguments.seconds) for kind, path in paths.items()}
    print(f"{arguments.size} px, one thread. Ratio above 1: softcam is faster.\n")
    print("| file | × same float image | × decoding alone | softcam, images/s | same image | decoding alone |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind, row in rows.items():
        ratios = " | ".join(f"{row[name]:.2f}" for name in ("of_same_image", "of_decoding_alone"))
        speeds = [row[name] for name in ("softcam_images_per_s", "same_image_per_s", "decoding_alone_per_s")]
        print(f"| {kind} | {ratios} | " + " | ".join(f"{speed:.0f}" for speed in speeds) + " |")
    if arguments.out:
        with atomic_path(arguments.out) as path:
            path.write_text(json.dumps({"size": arguments.size, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
