"""The page of comparisons: any systems on the same rows, in a table, in curves and row by row."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from texlens.board.comparing.pictures import RowImages, drawings
from texlens.board.comparing.rows import ComparedRowFilter, page_of_rows
from texlens.board.comparing.stored import ComparisonCache, stored_comparisons
from texlens.board.comparing.table import comparison_table
from texlens.board.jobs import TEXLENS, find_job, start_job
from texlens.board.pages.protocol import BoardPage
from texlens.board.runs.appended_file import Position, part_since
from texlens.board.workspace import Workspace
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder

MAX_LOG_BYTES = 50_000
SPLITS = ("train", "validation", "test")
Name = Annotated[str, Field(min_length=1, max_length=2000)]


class ComparisonRequest(BaseModel):
    """`run`'s base and adapter, and `systems`, read `run`'s rows of `split`; `max_rows` draws that many."""

    model_config = ConfigDict(extra="forbid")
    run: Name
    systems: list[Name] = Field([], max_length=20)
    split: str = "test"
    max_rows: int | None = Field(None, ge=1)


class Formulas(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reference: str = Field(max_length=20_000)
    text: str = Field(max_length=20_000)


def _router(workspace: Workspace) -> APIRouter:
    routes = APIRouter(prefix="/api/compare")
    _add_views(routes, workspace, ComparisonCache())
    _add_pictures(routes, workspace, RowImages())
    _add_start(routes, workspace)
    return routes


def _add_views(routes: APIRouter, workspace: Workspace, cache: ComparisonCache) -> None:
    @routes.get("/sources")
    def sources() -> dict[str, Any]:
        """Runs, newest first, with their stored comparisons and checkpoints."""
        return {"runs": [_source(run) for run in reversed(workspace.runs())]}

    @routes.get("/table")
    def table(run: str, label: str, reference: str = "") -> dict[str, Any]:
        return comparison_table(cache.load(workspace.run(run), label, reference))

    @routes.get("/rows")
    def rows(
        run: str, label: str, chosen: Annotated[ComparedRowFilter, Depends()], start: int = 0, reference: str = ""
    ) -> dict[str, Any]:
        return page_of_rows(cache.load(workspace.run(run), label, reference), chosen, max(start, 0))


def _add_pictures(routes: APIRouter, workspace: Workspace, images: RowImages) -> None:
    @routes.get("/picture")
    def picture(run: str, split: str, row: str) -> dict[str, str]:
        if split not in SPLITS:
            raise ConfigError(f"{split[:40]}: no such split of a run; choose {', '.join(SPLITS)}")
        return {"picture": images.image(workspace.run(run), split, row)}

    @routes.post("/drawings")
    def drawn(formulas: Formulas) -> dict[str, Any]:
        return drawings(formulas.reference, formulas.text)


def _add_start(routes: APIRouter, workspace: Workspace) -> None:
    @routes.post("/start")
    def start(request: ComparisonRequest) -> dict[str, Any]:
        """Starts `texlens compare` as a process of its own; what was read before is not read again."""
        run = workspace.run(request.run)
        if request.split not in SPLITS:
            raise ConfigError(f"{request.split[:40]}: no such split of a run; choose {', '.join(SPLITS)}")
        options = ["--split", request.split, "--json"]
        if request.max_rows:
            options += ["--set", f"evaluate.max_rows={request.max_rows}"]
        systems = [str(workspace.folder / name) if _is_local(workspace, name) else name for name in request.systems]
        command = [*TEXLENS, "compare", *options, "--", str(run.path), *systems]
        return start_job(workspace.state, "compare", lambda folder: command).to_json()

    @routes.get("/started/{job}")
    def started(job: str) -> dict[str, Any]:
        process = find_job(workspace.state, job)
        return {"job": process.to_json(), "output": part_since(process.output, Position(), MAX_LOG_BYTES).lines[-40:]}


def _source(run: RunFolder) -> dict[str, Any]:
    checkpoints = sorted(path.name for path in run.checkpoints.glob("checkpoint-*") if path.is_dir())
    return {"name": run.path.name, "comparisons": stored_comparisons(run), "checkpoints": checkpoints}


def _is_local(workspace: Workspace, name: str) -> bool:
    """Whether a system is a run of the folder, or a checkpoint of one: `RUN` or `RUN/checkpoints/checkpoint-8`."""
    first = name.split("/")[0]
    return any(run.path.name == first for run in workspace.runs()) and (workspace.folder / name).exists()


PAGE = BoardPage("compare", "/compare", _router)
