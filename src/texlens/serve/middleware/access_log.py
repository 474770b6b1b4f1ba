"""One line of JSON for each request, its metrics, and an id that the client gets too.

Neither images nor prompts nor query strings are logged.
"""

import json
import logging
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from texlens.serve.metrics import ServerMetrics

LOG = logging.getLogger("texlens.access")
_PATHS = frozenset(
    ["/v1/read", "/v1/prepared", "/v1/chat/completions", "/v1/models", "/healthz", "/readyz", "/metrics"]
)
CLIENT_LEFT = 499
"""Status that is recorded where the client left before its request was complete."""


class AccessLog:
    """ASGI middleware; the outermost, so that refused requests are recorded too."""

    def __init__(self, app: ASGIApp, *, metrics: ServerMetrics):
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        record = {"status": 500, "bytes": 0}
        request_id = uuid.uuid4().hex
        scope["texlens.record"] = record

        async def recording_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record["status"] = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, recording_send)
        finally:
            self._write(scope, record, request_id, time.monotonic() - start)

    def _write(self, scope: Scope, record: dict[str, int], request_id: str, seconds: float) -> None:
        path = scope["path"] if scope["path"] in _PATHS else "other"
        self._metrics.requests.labels(path, str(record["status"])).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        client = scope.get("client")
        line = {
            "request": request_id,
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:200],
            **record,
            "milliseconds": round(seconds * 1000, 1),
        }
        LOG.info(json.dumps(line))
