"""Lets a request's answer be in the language of its page, which the page names in `Accept-Language`."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from texlens.core.language import speaking


class PageLanguage:
    """ASGI middleware. Without a name the board's own language holds (`TEXLENS_LANG`)."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        language = HTTPConnection(scope).headers.get("accept-language", "") if scope["type"] == "http" else ""
        with speaking(language):
            await self._app(scope, receive, send)
