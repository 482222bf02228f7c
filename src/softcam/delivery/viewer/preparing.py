"""From the bytes of an image to what a network sees and what a person sees, in a process of its own.

Decoders of image formats are where hostile files do their harm: they crash, hang, or unpack without end. So they run
in a process with little memory that can be ended, and what comes back from it is read as numbers, never unpickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from softcam.data.images import decode_image
from softcam.data.preprocessing import Preprocessing
from softcam.errors import DataError

LONGEST_SIDE = 1024
"""Pixels: larger images are shown reduced to this."""

UPLOAD = "the image"
"""What messages call an upload, whose name is never sent, because names of files often name patients."""

READY, PREPARED, REFUSED = b"?", b"+", b"-"

_TOO_MUCH_MEMORY = f"{UPLOAD} takes more memory than can be safe; reduce it to read it."


@dataclass(frozen=True)
class Facts:
    """What is known of an image file.

    Attributes:
        format: ``"PNG"``, ``"DICOM"``, ...
        height: In pixels.
        width: In pixels.
        bit_depth: Bits per sample.
        photometric: What the samples mean, such as ``"MONOCHROME1"``.
        sha256: Hash of the file, by which it can be found again without naming it.
    """

    format: str
    height: int
    width: int
    bit_depth: int
    photometric: str
    sha256: str


@dataclass(frozen=True)
class Prepared:
    """An image, ready for networks and people.

    Attributes:
        inputs: For each preprocessing ``(C, h, w)``.
        view: ``(h, w, C)`` with one channel or three, the longer side at most `LONGEST_SIDE`; 0 to 255, or, for
            files of more than 8 bits, 0 to 65535.
        facts: Of the file.
    """

    inputs: tuple[Tensor, ...]
    view: NDArray[np.uint8] | NDArray[np.uint16]
    facts: Facts

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        arrays = {f"input {index}": each.contiguous().numpy() for index, each in enumerate(self.inputs)}
        facts = np.frombuffer(json.dumps(asdict(self.facts)).encode(), dtype=np.uint8)
        return save({**arrays, "view": np.ascontiguousarray(self.view), "facts": facts})

    @classmethod
    def from_bytes(cls, data: bytes) -> Prepared:
        """Read what `to_bytes` returned."""
        arrays = load(data)
        facts = Facts(**json.loads(arrays.pop("facts").tobytes()))
        view = arrays.pop("view")
        inputs = tuple(torch.from_numpy(arrays[f"input {index}"]) for index in range(len(arrays)))
        return cls(inputs, view, facts)


def prepare(data: bytes, preprocessings: Sequence[Preprocessing], max_pixels: int) -> Prepared:
    """Decode an image and bring it into the forms in which it is looked at.

    Args:
        data: The content of a file.
        preprocessings: What each network asks for.
        max_pixels: Larger images are refused.

    Raises:
        DataError: It cannot be read.
    """
    image = decode_image(data, UPLOAD, max_pixels)
    height, width = image.pixels.shape[1:]
    sha256 = hashlib.sha256(data).hexdigest()
    return Prepared(
        inputs=tuple(each(image.pixels).float() for each in preprocessings),
        view=_view(image.pixels, deep=image.bit_depth > 8),
        facts=Facts(image.format, height, width, image.bit_depth, image.photometric, sha256),
    )


def answer_requests(
    connection: Connection, preprocessings: Sequence[Preprocessing], max_pixels: int, memory: int
) -> None:
    """Prepare images until the other end is closed.

    First sends `READY`; then takes bytes, and for each sends `PREPARED` and the image, or `REFUSED` and why.

    Args:
        connection: To the viewer.
        preprocessings: What each network asks for.
        max_pixels: Larger images are refused.
        memory: Bytes that this process may take beyond what it has.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the viewer, which then closes the connection
    warnings.simplefilter("ignore")
    logging.disable()
    torch.set_num_threads(1)
    _limit_memory(memory)
    connection.send_bytes(READY)
    while True:
        try:
            data = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_answer(data, preprocessings, max_pixels))


def _answer(data: bytes, preprocessings: Sequence[Preprocessing], max_pixels: int) -> bytes:
    try:
        return PREPARED + prepare(data, preprocessings, max_pixels).to_bytes()
    except DataError as error:
        return REFUSED + str(error).encode()
    except (MemoryError, RuntimeError):  # torch says by the latter that it gets no more memory
        return REFUSED + _TOO_MUCH_MEMORY.encode()


def _view(pixels: Tensor, *, deep: bool) -> NDArray[np.uint8] | NDArray[np.uint16]:
    height, width = pixels.shape[1:]
    factor = LONGEST_SIDE / max(height, width)
    if factor < 1:
        pixels = F.resize(pixels, [max(1, round(height * factor)), max(1, round(width * factor))], antialias=True)
    greatest, kind = (65535, np.uint16) if deep else (255, np.uint8)
    whole = pixels.clamp(0, 1).mul(greatest).add_(0.5).numpy().astype(kind)
    return np.ascontiguousarray(np.moveaxis(whole, 0, -1))


def _limit_memory(more: int) -> None:
    """Take no more than ``more`` bytes beyond what this process has; on systems other than Linux, no limit."""
    if sys.platform == "linux":
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
