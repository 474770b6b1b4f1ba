"""What every request passes before it reaches a route: key, size and speed of its body; and what is noted of it after.

The body is taken in whole here, so that limits hold whatever a route does with it. Neither images nor questions nor
query strings are logged.
"""

import asyncio
import hmac
import json
import logging
import time
import uuid
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from texlens.serve.errors import Fault
from texlens.serve.metrics import Meters
from texlens.serve.settings import ServeSettings

LOG = logging.getLogger("texlens.access")
_PATHS = frozenset(["/v1/read", "/v1/chat/completions", "/v1/models", "/healthz", "/readyz", "/metrics"])
_DRAINED_BODIES = 5
"""Of a body over the limit as many times the limit is read and thrown away, so that its sender hears the answer."""


@dataclass
class Gate:
    """Whether new requests are let in, and how many of those under /v1 are inside."""

    closed: bool = False
    inside: int = 0


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, settings: ServeSettings, meters: Meters, gate: Gate):
        self._app, self._settings, self._meters, self._gate = app, settings, meters, gate
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, note = time.monotonic(), _Note()
        name = uuid.uuid4().hex

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                note.status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", name.encode())]
            await send(message)

        counts = scope["path"].startswith("/v1/")
        try:
            if counts and self._gate.closed:
                await _stopping().response(scope, receive, noting)
                return
            self._gate.inside += counts
            try:
                await self._enter(scope, receive, noting, note)
            finally:
                self._gate.inside -= counts
        finally:
            self._held_bytes -= note.held
            self._record(scope, note, name, time.monotonic() - began)

    async def _enter(self, scope: Scope, receive: Receive, send: Send, note: "_Note") -> None:
        try:
            self._check_key(scope)
            body = await self._body(scope, receive, note)
        except Fault as fault:
            await fault.response(scope, receive, send)
            return
        except _GoneError:
            note.status = 499
            return
        await self._app(scope, _replaying(body, receive), send)

    def _check_key(self, scope: Scope) -> None:
        key = self._settings.api_key
        if key is None or not scope["path"].startswith("/v1"):
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, b"Bearer " + key.encode()):
            problem = "the API key is wrong" if given else "no API key"
            raise Fault(
                401,
                "invalid_api_key",
                f"{problem}; send `Authorization: Bearer KEY`",
                headers={"WWW-Authenticate": "Bearer"},
            )

    async def _body(self, scope: Scope, receive: Receive, note: "_Note") -> bytes:
        try:
            return await asyncio.wait_for(self._read(scope, receive, note), self._settings.body_timeout_s)
        except TimeoutError:
            limit = f"{self._settings.body_timeout_s:g} s"
            raise Fault(
                408,
                "request_timeout",
                f"the body did not arrive within {limit}; send it faster",
                headers={"Connection": "close"},
            ) from None

    async def _read(self, scope: Scope, receive: Receive, note: "_Note") -> bytes:
        limit, parts, size, more = self._settings.max_body_bytes, [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            note.bytes = size
            if size > limit * _DRAINED_BODIES:
                break
            if size > limit:
                parts.clear()
                continue
            note.held += len(part)
            self._held_bytes += len(part)
            if self._held_bytes > self._settings.max_held_bytes:
                raise Fault(
                    429, "queue_full", "too many large requests at once; try again", headers={"Retry-After": "2"}
                )
            parts.append(part)
        if size > limit:
            announced = next((int(value) for name, value in scope["headers"] if name == b"content-length"), size)
            raise Fault(
                413,
                "too_large",
                f"a body of {max(size, announced):,} bytes, over the {limit:,} allowed; scale the image down",
                headers={"Connection": "close"},
            )
        return b"".join(parts)

    def _record(self, scope: Scope, note: "_Note", name: str, seconds: float) -> None:
        path = scope["path"] if scope["path"] in _PATHS else "other"
        self._meters.requests.labels(path, str(note.status)).inc()
        self._meters.seconds.labels(path).observe(seconds)
        client = scope.get("client")
        told = {
            "request": name,
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": note.status,
            "bytes": note.bytes,
            "milliseconds": round(seconds * 1000, 1),
        }
        LOG.info(json.dumps(told))


class _Note:
    """What is known of a request when it ends; 500 if nothing was sent."""

    status = 500
    bytes = 0
    held = 0


class _GoneError(Exception):
    """The client left before its body was whole."""


def _stopping() -> Fault:
    message = "the server is being stopped; ask another one"
    return Fault(503, "stopping", message, headers={"Retry-After": "5", "Connection": "close"})


def _replaying(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
