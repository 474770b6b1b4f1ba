"""The page of one run: curves, log, sample predictions, stop and resume."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from texlens.board.pages.protocol import BoardPage
from texlens.board.runs.appended_file import Position, part_since
from texlens.board.runs.process import job_of, resume_run, stop_run
from texlens.board.runs.samples import sample_image, sample_rows, sample_steps
from texlens.board.runs.summary import summarize
from texlens.board.workspace import Workspace
from texlens.core.language import translated
from texlens.serve.assets import HEADERS

MAX_LOG_BYTES = 200_000
"""Of a log, the page shows the end."""


def _router(workspace: Workspace) -> APIRouter:
    routes = APIRouter(prefix="/api/run/{name}")
    _add_views(routes, workspace)
    _add_actions(routes, workspace)
    return routes


def _add_views(routes: APIRouter, workspace: Workspace) -> None:
    @routes.get("")
    def run(name: str) -> dict[str, Any]:
        folder = workspace.run(name)
        job = job_of(folder, workspace.state)
        return summarize(folder) | {
            "process": folder.process,
            "job": job.to_json() if job else None,
            "sample_steps": sample_steps(folder),
            "has_report": folder.report.is_file(),
        }

    @routes.get("/metrics")
    def metrics(name: str, position: str = "") -> dict[str, Any]:
        """Measurements after a position."""
        part = part_since(workspace.run(name).metrics, Position.parse(position))
        return {"rows": part.rows, "position": str(part.position), "is_restart": part.is_restart}

    @routes.get("/log")
    def log(name: str, position: str = "") -> dict[str, Any]:
        """Lines of the log after a position."""
        part = part_since(workspace.run(name).log, Position.parse(position), MAX_LOG_BYTES)
        return {"lines": part.lines, "position": str(part.position), "is_restart": part.is_restart}

    @routes.get("/output")
    def output(name: str) -> dict[str, Any]:
        """What the process printed, where a board started it; errors of the program itself are here alone."""
        job = job_of(workspace.run(name), workspace.state)
        part = part_since(job.output, Position(), MAX_LOG_BYTES) if job else None
        return {"lines": part.lines if part else []}

    @routes.get("/config")
    def config(name: str) -> dict[str, str]:
        path = workspace.run(name).config
        return {"yaml": path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""}

    @routes.get("/samples/{step}")
    def samples(name: str, step: int) -> dict[str, Any]:
        return {"step": step, "rows": sample_rows(workspace.run(name), step)}

    @routes.get("/images/{image}")
    def image(name: str, image: str) -> Response:
        return FileResponse(sample_image(workspace.run(name), image), media_type="image/png", headers=HEADERS)

    @routes.get("/report.html")
    def report(name: str) -> Response:
        """The report as a file to save: it has scripts of its own, which the board's pages may not run."""
        path = workspace.run(name).report
        if not path.is_file():
            return Response(translated("no report yet"), 404, HEADERS, "text/plain; charset=utf-8")
        return FileResponse(path, filename=f"{name}.html", media_type="application/octet-stream", headers=HEADERS)


def _add_actions(routes: APIRouter, workspace: Workspace) -> None:
    @routes.post("/stop")
    def stop(name: str) -> dict[str, int]:
        return {"process": stop_run(workspace.run(name))}

    @routes.post("/resume")
    def resume(name: str) -> dict[str, Any]:
        return resume_run(workspace.run(name), workspace.state).to_json()


PAGE = BoardPage("run", "/run/{name}", _router, in_navigation=False)
