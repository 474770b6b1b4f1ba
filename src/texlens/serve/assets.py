"""Files of a web page by name, with the headers that keep the page to itself.

The files are read once, so no request can name a file of this machine.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request
from fastapi.responses import Response

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""Of every answer of a page's server: no script, style or picture from elsewhere, none inside the page's text."""


class Asset:
    """One file, answered with its kind and an ETag."""

    def __init__(self, file: Traversable):
        self._bytes = file.read_bytes()
        tag = f'"{hashlib.sha256(self._bytes).hexdigest()[:16]}"'
        self._headers = {**HEADERS, "Content-Type": _KINDS[_suffix(file)], "ETag": tag}

    def answer(self, request: Request) -> Response:
        if request.headers.get("if-none-match") == self._headers["ETag"]:
            return Response(status_code=304, headers=self._headers)
        return Response(self._bytes, headers=self._headers)


def assets_of(folder: Traversable) -> dict[str, Asset]:
    """The folder's web files and those of its folders, by `name` and `folder/name`; other kinds are left out."""
    assets = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            assets |= {f"{entry.name}/{name}": asset for name, asset in assets_of(entry).items()}
        elif _suffix(entry) in _KINDS:
            assets[entry.name] = Asset(entry)
    return assets


def asset_routes(assets: Mapping[str, Asset]) -> APIRouter:
    """The files below `/ui/`."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/ui/{name:path}")
    async def asset(request: Request, name: str) -> Response:
        requested = assets.get(name)
        return requested.answer(request) if requested else Response("no such file", 404, HEADERS, "text/plain")

    return routes


def _suffix(file: Traversable) -> str:
    return file.name.rpartition(".")[2]
