"""Processes that decode what people upload, watched by the viewer and replaced when they fail."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from queue import SimpleQueue

from softcam.data.preprocessing import Preprocessing
from softcam.delivery.viewer.limits import Limits
from softcam.delivery.viewer.preparing import PREPARED, UPLOAD, Prepared, answer_requests
from softcam.errors import DataError

_STARTING_SECONDS = 120.0
_CRASHED = f"{UPLOAD} is damaged or cut short; copy or export it again."


class Decoders:
    """A few processes that prepare images, each one at a time.

    Args:
        preprocessings: What each network asks for.
        limits: On pixels, memory and time.
    """

    def __init__(self, preprocessings: Sequence[Preprocessing], limits: Limits) -> None:
        self._threads = ThreadPoolExecutor(limits.decoders, thread_name_prefix="decoder")
        self._idle: SimpleQueue[Decoder] = SimpleQueue()
        self._all = [Decoder(preprocessings, limits) for _ in range(limits.decoders)]
        for decoder in self._all:
            self._idle.put(decoder)

    async def prepare(self, data: bytes) -> Prepared:
        """Prepare an image.

        Args:
            data: The content of its file.

        Raises:
            DataError: It cannot be read within the limits.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._prepare, data)

    def start(self) -> None:
        """Start all processes, so that the first image need not wait for them."""
        for decoder in self._all:
            decoder.start()

    def close(self) -> None:
        """End all processes."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for decoder in self._all:
            decoder.close()

    def _prepare(self, data: bytes) -> Prepared:
        decoder = self._idle.get()  # at once: there are as many as threads
        try:
            return decoder.prepare(data)
        finally:
            self._idle.put(decoder)


class Decoder:
    """One such process.

    Args:
        preprocessings: What each network asks for.
        limits: On pixels, memory and time.
    """

    def __init__(self, preprocessings: Sequence[Preprocessing], limits: Limits) -> None:
        self._preprocessings = tuple(preprocessings)
        self._limits = limits
        self._running: tuple[BaseProcess, Connection] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._running is None else self._running[0].pid

    def prepare(self, data: bytes) -> Prepared:
        """Prepare an image.

        Args:
            data: The content of its file.

        Raises:
            DataError: It cannot be read, or the process dies of it or takes too long.
        """
        try:
            connection = self.start()
            connection.send_bytes(data)
            if not connection.poll(self._limits.decoding_seconds):
                self.close()
                seconds = f"{self._limits.decoding_seconds:g}"
                raise DataError(f"{UPLOAD} takes more than {seconds} s to decode; reduce it to read it.")
            answer = connection.recv_bytes()
        except (EOFError, OSError):
            self.close()
            raise DataError(_CRASHED) from None
        if answer[:1] != PREPARED:
            raise DataError(answer[1:].decode())
        return Prepared.from_bytes(answer[1:])

    def start(self) -> Connection:
        """Start the process, if it does not run, and return the connection to it."""
        if self._running is None or not self._running[0].is_alive():
            self._running = self._new()
        return self._running[1]

    def close(self) -> None:
        """End the process; the next image starts another."""
        if self._running is not None:
            process, connection = self._running
            self._running = None
            connection.close()
            process.kill()
            process.join()

    def _new(self) -> tuple[BaseProcess, Connection]:
        self.close()
        context, limits = _context(), self._limits
        ours, theirs = context.Pipe()
        process = context.Process(
            target=answer_requests,
            args=(theirs, self._preprocessings, limits.pixels, limits.decoding_bytes),
            daemon=True,
        )
        process.start()
        theirs.close()
        if not ours.poll(_STARTING_SECONDS):  # the first process imports torch, which is not the image's fault
            process.kill()
            raise OSError(f"a decoder did not start within {_STARTING_SECONDS:g} s")
        ours.recv_bytes()
        return process, ours


def _context() -> ForkServerContext | SpawnContext:
    """Start processes from one that has imported all they need, where the system can: in milliseconds."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([answer_requests.__module__])
    return context
