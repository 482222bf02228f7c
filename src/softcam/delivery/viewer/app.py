"""The viewer as an ASGI application: one static page, and a few questions that it asks.

| request | answer |
|---|---|
| ``GET /`` and ``GET /static/NAME`` | the page |
| ``GET /api/session`` | models, images of the folder, colours |
| ``POST /api/explain``, the image as body | its pixels; logits, probabilities and evidence of each model |
| ``POST /api/verify?erased=RANGES``, the image as body | decisions when the pixels below these cells are removed |
| ``POST /api/folder/INDEX/explain``, ``/verify`` | the same for an image of the folder |

Nothing is kept from one request to the next: no image, no result, no session. Names of uploads are never sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import torch
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from softcam.delivery.viewer.access import Access
from softcam.delivery.viewer.answers import (
    describe_decision,
    describe_evidence,
    describe_image,
    describe_session,
    read_cells,
)
from softcam.delivery.viewer.batching import Batcher
from softcam.delivery.viewer.decoding import Decoders
from softcam.delivery.viewer.guard import Guard
from softcam.delivery.viewer.limits import Limits
from softcam.delivery.viewer.uploads import Uploads
from softcam.delivery.viewer.viewed import ViewedModel
from softcam.errors import DataError
from softcam.reporting.record import ImageEvidence
from softcam.reporting.selection import Shown

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
Erased = Annotated[list[str], Query(max_length=8)]


@dataclass(frozen=True)
class Folder:
    """Images that can be chosen by number.

    Attributes:
        images: The files.
        names: What they are called on the page.
    """

    images: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, images: Iterable[Path], root: Path) -> Folder:
        """Name images by their place below ``root``."""
        images = tuple(images)
        return cls(images, tuple(str(each.relative_to(root)) for each in images))


def create_app(
    models: Sequence[ViewedModel],
    folder: Folder = Folder(),
    access: Access = Access(),  # noqa: B008 — frozen
    limits: Limits = Limits(),  # noqa: B008 — frozen
) -> FastAPI:
    """Build the viewer.

    Args:
        models: One model, or two to be seen side by side.
        folder: Images to choose from.
        access: Who may ask.
        limits: How much may be asked.

    Returns:
        An ASGI application for uvicorn or any other server.
    """
    viewer = Viewer(models, folder, limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(viewer.start)
        yield
        await asyncio.to_thread(viewer.close)

    app = FastAPI(title="softcam viewer", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.add_middleware(Guard, access=access, limits=limits)
    _add_pages(app)
    _add_questions(app, viewer)
    _add_errors(app)
    return app


class Viewer:
    """Answers the questions of the page.

    Args:
        models: One model, or two.
        folder: Images to choose from.
        limits: How much may be asked.
    """

    def __init__(self, models: Sequence[ViewedModel], folder: Folder, limits: Limits) -> None:
        self.models, self.folder = tuple(models), folder
        self.session = describe_session(models, folder.names, limits)
        self.uploads = Uploads(limits)
        self._decoders = Decoders([each.preprocessing for each in models], limits)
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._explain = [Batcher(_explainer(each), self._network, limits.batch) for each in models]

    async def explain(self, data: bytes) -> dict[str, Any]:
        """Return an image, and what each model says of it."""
        image = await self._decoders.prepare(data)
        found = await asyncio.gather(
            *(explain(inputs) for explain, inputs in zip(self._explain, image.inputs, strict=True))
        )
        described = [describe_evidence(*each) for each in zip(self.models, found, strict=True)]
        return {"image": describe_image(image), "models": described}

    async def verify(self, data: bytes, erased: Sequence[str]) -> dict[str, Any]:
        """Return what each model decides when the pixels below some of its cells are removed."""
        if len(erased) != len(self.models):
            raise DataError(f"there are {len(erased)} lists of cells; give one for each of {len(self.models)} models")
        cells = [read_cells(each, model.map_size) for each, model in zip(erased, self.models, strict=True)]
        image = await self._decoders.prepare(data)
        removed = [
            await asyncio.to_thread(model.without, inputs, chosen)
            for model, inputs, chosen in zip(self.models, image.inputs, cells, strict=True)
        ]
        found = await asyncio.gather(*(explain(inputs) for explain, inputs in zip(self._explain, removed, strict=True)))
        return {"models": [describe_decision(*each) for each in zip(self.models, found, strict=True)]}

    def start(self) -> None:
        """Start the processes that work for it."""
        self._decoders.start()

    def close(self) -> None:
        """End the processes and threads that work for it."""
        self._decoders.close()
        self._network.shutdown(cancel_futures=True)


def _explainer(model: ViewedModel) -> Any:
    def explain(inputs: Sequence[torch.Tensor]) -> list[ImageEvidence]:
        return model.explain(inputs, Shown.CONTRAST)

    return explain


def _add_pages(app: FastAPI) -> None:
    """Serve the page from memory: no name in a request is ever looked up on disk."""
    folder = resources.files("softcam.delivery.viewer") / "static"
    files = {each.name: (each.read_bytes(), _TYPES[Path(each.name).suffix]) for each in folder.iterdir()}

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        content, kind = files[name]
        return Response(content, media_type=kind)

    @app.get("/")
    async def page() -> Response:
        return await static("index.html")


def _add_questions(app: FastAPI, viewer: Viewer) -> None:
    @app.get("/api/session")
    async def session() -> JSONResponse:
        return JSONResponse(viewer.session)

    @app.post("/api/explain")
    async def explain(request: Request) -> JSONResponse:
        async with viewer.uploads.receive(request) as data:
            return JSONResponse(await viewer.explain(data))

    @app.post("/api/verify")
    async def verify(request: Request, erased: Erased) -> JSONResponse:
        async with viewer.uploads.receive(request) as data:
            return JSONResponse(await viewer.verify(data, erased))

    @app.post("/api/folder/{index}/explain")
    async def explain_listed(index: int) -> JSONResponse:
        async with viewer.uploads.read(_listed(viewer.folder, index)) as data:
            return JSONResponse(await viewer.explain(data))

    @app.post("/api/folder/{index}/verify")
    async def verify_listed(index: int, erased: Erased) -> JSONResponse:
        async with viewer.uploads.read(_listed(viewer.folder, index)) as data:
            return JSONResponse(await viewer.verify(data, erased))


def _listed(folder: Folder, index: int) -> Path:
    if not 0 <= index < len(folder.images):
        raise HTTPException(404, f"there is no image {index}; the folder has {len(folder.images)}")
    return folder.images[index]


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(DataError)
    async def unreadable(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    async def misunderstood(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "the request cannot be understood; see the documentation of the viewer"}, 422)

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
