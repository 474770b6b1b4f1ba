"""Refuses requests that a web page from elsewhere makes in its visitor's browser.

A page can point its own host name at this machine (DNS rebinding); so the Host header must be an IP address, localhost,
the machine's own name, or a name that was allowed. A page can also post forms here; browsers then send its Origin.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from texlens.serve.errors import ApiError


class OriginCheck:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = (), origins: Iterable[str] = ()):
        self._app = app
        names = {"localhost", socket.gethostname(), *hosts}
        self._hosts = {name.lower().rstrip(".") for name in names}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            error = self._refusal(dict(scope["headers"]))
            if error is not None:
                await error.response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, headers: dict[bytes, bytes]) -> ApiError | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_allowed_host(_host_name(host)):
            message = f"host {host[:100]!r} is not served here; --allow-host NAME adds it"
            return ApiError(403, "forbidden_host", message)
        origin = headers.get(b"origin")
        if origin is not None and not self._is_allowed_origin(origin.decode("latin-1").lower(), host.lower()):
            message = "a web page from elsewhere may not call this server; --allow-origin URL adds it"
            return ApiError(403, "forbidden_origin", message)
        return None

    def _is_allowed_host(self, name: str) -> bool:
        return name in self._hosts or name.endswith(".localhost") or _is_ip_address(name)

    def _is_allowed_origin(self, origin: str, host: str) -> bool:
        return origin in self._origins or urlsplit(origin).netloc == host


def _host_name(host: str) -> str:
    """A Host header without its port; empty where there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
