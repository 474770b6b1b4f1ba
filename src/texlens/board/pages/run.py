"""The page of one run: curves, log, sample predictions, stop and resume."""

from typing import Any

from fastapi import APIRouter

from texlens.board.pages.protocol import BoardPage
from texlens.board.runs.summary import summarize
from texlens.board.workspace import Workspace


def _router(workspace: Workspace) -> APIRouter:
    routes = APIRouter(prefix="/api/run/{name}")

    @routes.get("")
    def run(name: str) -> dict[str, Any]:
        return summarize(workspace.run(name))

    return routes


PAGE = BoardPage("run", "/run/{name}", _router, in_navigation=False)
