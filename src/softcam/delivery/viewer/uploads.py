"""The bytes of images, as many of them as there may be in memory at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import HTTPException, Request

from softcam.delivery.viewer.limits import Limits
from softcam.errors import DataError


class Uploads:
    """Takes in images, and counts the bytes of all that are at work.

    Args:
        limits: On the bytes of one and of all together.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes of the images at work."""
        return self._held

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[bytes]:
        """Receive the body of a request.

        Raises:
            HTTPException: 413 if it is too large, 503 if there are too many.
        """
        declared = request.headers.get("content-length", "")
        with self._counting() as count:
            if declared.isdecimal():
                self._check(int(declared))
            chunks = []
            async for chunk in request.stream():
                count(len(chunk))
                chunks.append(chunk)
            yield b"".join(chunks)

    @asynccontextmanager
    async def read(self, path: Path) -> AsyncIterator[bytes]:
        """Read a file.

        Raises:
            HTTPException: As of `receive`.
            DataError: It is no longer there.
        """
        with self._counting() as count:
            try:
                count(path.stat().st_size)
                data = await asyncio.to_thread(path.read_bytes)
            except OSError:
                raise DataError("the image can no longer be read from the folder; start the viewer again") from None
            yield data

    @contextmanager
    def _counting(self) -> Iterator[Callable[[int], None]]:
        """Yield what counts bytes of one image; they are given back at the end."""
        held = 0

        def count(size: int) -> None:
            nonlocal held
            self._check(held + size)
            if self._held + size > self._limits.upload_bytes_together:
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "too many images at once; try again in a moment")
            held += size
            self._held += size

        try:
            yield count
        finally:
            self._held -= held

    def _check(self, size: int) -> None:
        most = self._limits.upload_bytes
        if size > most:
            sentence = f"the image has more than {most / 2**20:g} MiB; reduce it to read it"
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
