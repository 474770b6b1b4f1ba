"""The page of runs: every run of the folder with its state, data and scores."""

from typing import Any

from fastapi import APIRouter

from texlens.board.pages.protocol import BoardPage
from texlens.board.runs.summary import summarize
from texlens.board.workspace import Workspace


def _router(workspace: Workspace) -> APIRouter:
    routes = APIRouter(prefix="/api/runs")

    @routes.get("")
    def runs() -> dict[str, Any]:
        """Newest first."""
        return {"folder": str(workspace.folder), "runs": [summarize(run) for run in reversed(workspace.runs())]}

    return routes


PAGE = BoardPage("runs", "/", _router)
