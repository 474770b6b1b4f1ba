"""Key, size and speed of a request, checked before it reaches a route.

The complete body is read here, so that the limits hold whatever a route does with it.
"""

import asyncio
import hmac
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from texlens.serve.errors import ApiError
from texlens.serve.middleware.access_log import CLIENT_LEFT
from texlens.serve.settings import ServeSettings

_DRAINED_BODIES = 5
"""Of a body over the limit up to 5 times the limit is read and dropped, so that the client sees the answer 413."""


class RequestLimits:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, settings: ServeSettings):
        self._app, self._settings = app, settings
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reading = _BodyReading(scope.get("texlens.record", {}))
        try:
            try:
                self._check_key(scope)
                body = await self._body(scope, receive, reading)
            except ApiError as error:
                await error.response(scope, receive, send)
                return
            except _ClientLeftError:
                reading.record["status"] = CLIENT_LEFT
                return
            await self._app(scope, _replay(body, receive), send)
        finally:
            self._held_bytes -= reading.held_bytes

    def _check_key(self, scope: Scope) -> None:
        key = self._settings.api_key
        if key is None or not scope["path"].startswith("/v1"):
            return
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(sent, b"Bearer " + key.encode()):
            problem = "the API key is wrong" if sent else "no API key"
            raise ApiError(
                401,
                "invalid_api_key",
                f"{problem}; send `Authorization: Bearer KEY`",
                headers={"WWW-Authenticate": "Bearer"},
            )

    async def _body(self, scope: Scope, receive: Receive, reading: "_BodyReading") -> bytes:
        try:
            return await asyncio.wait_for(self._read(scope, receive, reading), self._settings.body_timeout_s)
        except TimeoutError:
            message = f"the body did not arrive within {self._settings.body_timeout_s:g} s; send it faster"
            raise ApiError(408, "request_timeout", message, headers={"Connection": "close"}) from None

    async def _read(self, scope: Scope, receive: Receive, reading: "_BodyReading") -> bytes:
        limit, parts, size, more = self._settings.max_body_bytes, [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeftError
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            reading.record["bytes"] = size
            if size > limit * _DRAINED_BODIES:
                break
            if size > limit:
                parts.clear()
                continue
            self._hold(len(part), reading)
            parts.append(part)
        if size > limit:
            announced = next((int(value) for name, value in scope["headers"] if name == b"content-length"), size)
            message = f"a body of {max(size, announced):,} bytes, over the {limit:,} allowed; scale the image down"
            raise ApiError(413, "too_large", message, headers={"Connection": "close"})
        return b"".join(parts)

    def _hold(self, count: int, reading: "_BodyReading") -> None:
        reading.held_bytes += count
        self._held_bytes += count
        if self._held_bytes > self._settings.max_held_bytes:
            message = "too many large requests at once; try again"
            raise ApiError(429, "queue_full", message, headers={"Retry-After": "2"})


class _BodyReading:
    """Bytes of one request in memory, and the record that the access log writes."""

    def __init__(self, record: dict[str, int]):
        self.record = record
        self.held_bytes = 0


class _ClientLeftError(Exception):
    """The client left before its body was complete."""


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
