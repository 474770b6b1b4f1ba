"""Lets requests change something only with the board's token and from the board's own page.

A page from elsewhere can make a browser send requests here. It can't read the token, and its Origin is another one.
"""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from texlens.board.workspace import Workspace
from texlens.serve.errors import ApiError

TOKEN_HEADER = "X-TexLens-Token"
_READING = frozenset(["GET", "HEAD"])
_OPEN = "/ui/"
"""Scripts and style sheets hold nothing of the user's."""


class TokenCheck:
    """ASGI middleware. Host and Origin, where there is one, have been checked by `OriginCheck`."""

    def __init__(self, app: ASGIApp, *, workspace: Workspace):
        self._app, self._workspace = app, workspace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._refusal(HTTPConnection(scope), scope["method"])):
            await error.response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, request: HTTPConnection, method: str) -> ApiError | None:
        if method in _READING:
            is_allowed = not self._workspace.read_token or request.url.path.startswith(_OPEN)
            return None if is_allowed or self._workspace.has_token(request) else _no_token()
        if not self._workspace.is_token(request.headers.get(TOKEN_HEADER)):
            return _no_token()
        origin = request.headers.get("origin", "")
        if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            return ApiError(403, "forbidden_origin", "only the board's own page may change something")
        return None


def _no_token() -> ApiError:
    message = "the token is missing or wrong; open the address that `texlens board` printed"
    return ApiError(403, "no_token", message)
