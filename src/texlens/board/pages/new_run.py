"""The page of a new run: a form of all settings, the plan beside it, a preview of rows, and the start."""

import json
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from texlens.board.jobs import TEXLENS, find_job, start_job
from texlens.board.pages.protocol import BoardPage
from texlens.board.planning.form import compared_settings, config_of_tree, run_file, starting_point, tree_of
from texlens.board.planning.worker_client import PlanningClient
from texlens.board.runs.appended_file import Position, part_since
from texlens.board.runs.process import job_of
from texlens.board.workspace import Workspace
from texlens.config.recipes import recipes
from texlens.config.run import RunConfig
from texlens.core.language import translated
from texlens.models.bundled import bundled_names

MAX_LOG_BYTES = 100_000
_CHINESE = files("texlens.board.planning") / "settings.zh.json"
"""What the descriptions of settings and recipes say, in Chinese, by the English text in one line."""
_GPUS = files("texlens.planner") / "gpus.json"
"""Read here as a file, because `planner.gpus` imports torch, which the board leaves to the planning process."""
Setting = Annotated[str, Field(max_length=20_000)]


class FormSettings(BaseModel):
    """`settings` are `key=value` with YAML values; `gpu` plans for that GPU, empty for this machine."""

    model_config = ConfigDict(extra="forbid")
    settings: list[Setting] = Field(max_length=500)
    gpu: str = Field("", max_length=40)
    start: int = Field(0, ge=0)
    count: int = Field(6, ge=1, le=24)


def _router(workspace: Workspace) -> APIRouter:
    planner = PlanningClient()

    @asynccontextmanager
    async def lifespan(_: Any):
        yield
        planner.close()

    routes = APIRouter(prefix="/api/new", lifespan=lifespan)
    _add_sources(routes, workspace)
    _add_planning(routes, workspace, planner)
    _add_start(routes, workspace)
    return routes


def _add_sources(routes: APIRouter, workspace: Workspace) -> None:
    @routes.get("/schema")
    def schema() -> dict[str, Any]:
        """The form: the settings' own JSON schema, what can be a starting point, and known models."""
        return {
            "schema": RunConfig.model_json_schema(),
            "zh": json.loads(_CHINESE.read_text("utf-8")),
            "recipes": [{"name": recipe.name, "summary": recipe.summary} for recipe in recipes().values()],
            "runs": [run.path.name for run in reversed(workspace.runs())],
            "gpus": [{"name": gpu["name"], "title": gpu["title"]} for gpu in json.loads(_GPUS.read_text("utf-8"))],
            "models": ["nano", *(f"Qwen/{name}" for name in bundled_names())],
        }

    @routes.get("/settings")
    def settings(source: str) -> dict[str, Any]:
        return {"settings": starting_point(source, workspace)}

    @routes.get("/differences")
    def differences(left: str, right: str) -> dict[str, Any]:
        return {"differences": compared_settings(left, right, workspace)}


def _add_planning(routes: APIRouter, workspace: Workspace, planner: PlanningClient) -> None:
    @routes.post("/check")
    def check(form: FormSettings) -> dict[str, Any]:
        """The run file; an impossible setting is an error."""
        tree = _tree(form, workspace)
        config_of_tree(tree)
        return {"yaml": run_file(tree), "command": "texlens train run.yaml"}

    @routes.post("/plan")
    def plan(form: FormSettings) -> dict[str, Any]:
        return _with_notes_translated(planner.ask("plan", _tree(form, workspace), gpu=form.gpu))

    @routes.post("/rows")
    def rows(form: FormSettings) -> dict[str, Any]:
        answer = planner.ask("rows", _tree(form, workspace), start=form.start, count=form.count)
        for entry in answer["entries"]:
            entry["problem"] = translated(entry.get("problem") or "")
        return answer


def _with_notes_translated(plan: dict[str, Any]) -> dict[str, Any]:
    for part in filter(None, (plan, plan.get("on_gpu"), plan.get("on_cpu"))):
        part["notes"] = [translated(note) for note in part.get("notes", [])]
    return plan


def _add_start(routes: APIRouter, workspace: Workspace) -> None:
    @routes.post("/start")
    def start(form: FormSettings) -> dict[str, Any]:
        """Starts `texlens train` as a process of its own and returns at once."""
        tree = _tree(form, workspace)
        config_of_tree(tree)
        files = {"run.yaml": run_file(tree)}
        job = start_job(workspace.state, "train", lambda folder: [*TEXLENS, "train", str(folder / "run.yaml")], files)
        return job.to_json()

    @routes.get("/started/{job}")
    def started(job: str) -> dict[str, Any]:
        """The process, the end of what it printed, and its run once there is one."""
        process = find_job(workspace.state, job)
        names = [run.path.name for run in reversed(workspace.runs()) if _is_of(run, process.id, workspace)]
        output = part_since(process.output, Position(), MAX_LOG_BYTES).lines
        return {"job": process.to_json(), "run": names[0] if names else None, "output": output}


def _is_of(run: Any, job: str, workspace: Workspace) -> bool:
    owner = job_of(run, workspace.state)
    return owner is not None and owner.id == job


def _tree(form: FormSettings, workspace: Workspace) -> dict[str, Any]:
    """The form's settings; the run folder is made in this board's folder."""
    return tree_of(form.settings) | {"output": str(workspace.folder)}


PAGE = BoardPage("new", "/new", _router)
