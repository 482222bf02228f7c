"""How much one request, and all of them together, may ask of the viewer's machine."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds on what a request can cost.

    Attributes:
        upload_bytes: Size of an uploaded file. A mammogram of 14 bits, uncompressed, has about 50 MiB.
        pixels: Height times width of an image, known before its pixels are decoded.
        decoding_bytes: Memory that a decoder may take, whatever a file claims or unpacks to.
        decoding_seconds: Time that a decoder may take before it is ended.
        request_seconds: Time from the first byte of a request to its answer, waiting included.
        requests: Requests at work or waiting; one more is told to come again.
        upload_bytes_together: Bytes of the uploads of all requests at work or waiting.
        batch: Images that go through a network together.
        decoders: Processes that decode.
    """

    upload_bytes: int = 64 * _MIB
    pixels: int = 50_000_000
    decoding_bytes: int = 2048 * _MIB
    decoding_seconds: float = 15.0
    request_seconds: float = 30.0
    requests: int = 128
    upload_bytes_together: int = 512 * _MIB
    batch: int = 8
    decoders: int = 2
