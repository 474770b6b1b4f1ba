"""What a page of the board is."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter

from texlens.board.workspace import Workspace


@dataclass(frozen=True)
class BoardPage:
    """A page at `path`, shown by `web/pages/NAME.js`; the word `nav.NAME` is its title.

    Attributes:
        router: makes the page's own routes, all of them under `/api/`.
        in_navigation: has an entry in the header.
    """

    name: str
    path: str
    router: Callable[[Workspace], APIRouter] | None = None
    in_navigation: bool = True
