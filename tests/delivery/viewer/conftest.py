"""A viewer whose models can be worked out by hand, and images for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from tests.reporting.networks import CELL, CLASSES, SIZE, checkpoint

from softcam.delivery.viewer.app import Folder, create_app
from softcam.delivery.viewer.limits import Limits
from softcam.delivery.viewer.viewed import ViewedModel
from softcam.model.task import Task

HERE = "http://127.0.0.1:8000"
LIMITS = Limits(decoders=1)
CELLS = SIZE // CELL


def picture(seed: int = 0, size: tuple[int, int] = (SIZE, SIZE)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def encoded(pixels: np.ndarray, format: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def viewed(name: str = "first", limit: float | None = None, task: Task = Task.MULTICLASS) -> ViewedModel:
    """Three classes, 4 × 4 cells, each of which sees its own 4 × 4 pixels and nothing else."""
    return ViewedModel.of(name, checkpoint(CLASSES, task), limit)


def maps_of(pixels: np.ndarray) -> np.ndarray:
    """Evidence ``(3, 4, 4)`` of the three classes, by hand: see `tests.reporting.networks.checkpoint`."""
    normalised = (pixels.astype(np.float64) / 255 - 0.5) / 0.5
    cells = normalised.reshape(CELLS, CELL, CELLS, CELL, 3).mean((1, 3))
    return np.stack([10 * (index + 1) * cells[..., index] for index in range(3)])


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


@contextmanager
def serving(app: FastAPI, headers: dict[str, str] | None = None, address: str = HERE) -> Iterator[TestClient]:
    with TestClient(app, base_url=address, headers=headers, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    root = tmp_path_factory.mktemp("images")
    (root / "below").mkdir()
    paths = [root / "a.png", root / "below" / "b.png"]
    for seed, path in enumerate(paths):
        path.write_bytes(encoded(picture(seed)))
    return Folder.of(paths, root)


@pytest.fixture(scope="session")
def client(folder: Folder) -> Iterator[TestClient]:
    """Of a viewer with two models, which differ in their names alone, and a folder."""
    with serving(create_app([viewed(), viewed("second", limit=5)], folder, limits=LIMITS)) as client:
        yield client


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """Run a real server and yield its address."""
    import uvicorn

    taken = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
