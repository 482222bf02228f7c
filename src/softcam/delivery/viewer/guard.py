"""What every request passes: access, a place in the queue, a time limit; and headers for every answer."""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from softcam.delivery.viewer.access import Access
from softcam.delivery.viewer.limits import Limits

API = "/api/"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_HEADER_LINES = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware around the whole viewer.

    Args:
        app: The viewer.
        access: Who may ask.
        limits: On time and number of requests.
    """

    def __init__(self, app: ASGIApp, access: Access, limits: Limits) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        refusal = self._refuse(scope)
        if refusal is not None:
            await answer.error(*refusal)
            return
        self._at_work += 1
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                await self._app(scope, receive, answer.send)
        except TimeoutError:
            await answer.error(HTTPStatus.REQUEST_TIMEOUT, "this took too long; try again, or reduce the image")
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception:
            _log.exception("a request failed")
            await answer.error(HTTPStatus.INTERNAL_SERVER_ERROR, "the viewer failed; its log says why")
        finally:
            self._at_work -= 1

    def _refuse(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._access.refuse(headers, protected=scope["path"].startswith(API))
        if refusal is None and self._at_work >= self._limits.requests:
            return HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; try again in a moment"
        return refusal


class _Answer:
    """Adds headers to an answer, and replaces one that has not begun by an error."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            message = {**message, "headers": [*message.get("headers", ()), *_HEADER_LINES]}
        await self._send(message)

    async def error(self, status: HTTPStatus, sentence: str) -> None:
        if self._begun:
            return
        headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
        headers += [(b"www-authenticate", b"Bearer")] if status == HTTPStatus.UNAUTHORIZED else []
        headers += [(b"retry-after", b"1")] if status == HTTPStatus.SERVICE_UNAVAILABLE else []
        start: dict[str, Any] = {"type": "http.response.start", "status": int(status), "headers": headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": json.dumps({"error": sentence}).encode()})
