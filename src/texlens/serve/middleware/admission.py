"""Requests under /v1 are counted while in progress, and refused while the server is being stopped."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from texlens.serve.errors import ApiError


@dataclass
class AdmissionGate:
    """Whether new requests are refused, and how many of those under /v1 are in progress."""

    closed: bool = False
    in_flight: int = 0


class Admission:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, gate: AdmissionGate):
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        if self._gate.closed:
            message = "the server is being stopped; ask another one"
            error = ApiError(503, "stopping", message, headers={"Retry-After": "5", "Connection": "close"})
            await error.response(scope, receive, send)
            return
        self._gate.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._gate.in_flight -= 1
