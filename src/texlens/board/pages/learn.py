"""The page of corrections: pictures sorted by doubt, corrected with a live drawing; training and its paired test."""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from texlens.board.corrections.opened import OpenedFolders, job_json
from texlens.board.corrections.uploads import folder_name, save_picture
from texlens.board.corrections.view import corrected_json, overview_json, queued_json
from texlens.board.pages.protocol import BoardPage
from texlens.board.pictures import png_answer
from texlens.board.workspace import Workspace
from texlens.core.errors import DataError, one_line
from texlens.core.language import translated

MAX_COUNT = 200


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpenFolder(_Body):
    folder: str = Field(min_length=1, max_length=4_000)
    model: str | None = Field(None, max_length=4_000)
    second: str | None = Field(None, max_length=4_000)


class Correction(_Body):
    """`text` is needed for `label` alone; it may be what was read."""

    image: str = Field(max_length=64)
    action: Literal["label", "leave_out", "undo"]
    text: str = Field("", max_length=100_000)
    reading: str = Field("", max_length=100_000)
    who: str = Field("", max_length=100)


class TrainRequest(_Body):
    rehearsal: int = Field(100, ge=0, le=100_000)
    overrides: list[str] = Field([], max_length=20)


class RoundChoice(_Body):
    round: int = Field(ge=1)
    keep: bool
    who: str = Field("", max_length=100)


def _router(workspace: Workspace) -> APIRouter:
    routes = APIRouter(prefix="/api/learn")
    folders = OpenedFolders(workspace)
    _add_opening(routes, folders)
    _add_reading(routes, folders)
    _add_correcting(routes, folders)
    _add_training(routes, folders)
    return routes


def _add_opening(routes: APIRouter, folders: OpenedFolders) -> None:
    @routes.get("")
    def known() -> dict[str, Any]:
        return {"known": folders.known()}

    @routes.post("/open")
    def open_folder(body: OpenFolder) -> dict[str, Any]:
        return {"key": folders.open(Path(body.folder), body.model, body.second)}

    @routes.post("/upload")
    def upload(
        files: list[UploadFile], folder: Annotated[str, Form()], model: Annotated[str, Form()] = ""
    ) -> dict[str, Any]:
        """Pictures into a folder that was opened (its key) or a new one (a name)."""
        is_known = folder in {each["key"] for each in folders.known()}
        opened = folders.get(folder) if is_known else None
        target = opened.session.folder.uploads if opened else folders.new_folder(folder_name(folder))
        results = [_saved(target, file) for file in files]
        if opened:
            with opened.lock:
                opened.session.look_again()
            return {"key": folder, "files": results}
        if not any("saved" in result for result in results):
            return {"key": None, "files": results}
        return {"key": folders.open(target, model or None), "files": results}


def _saved(folder: Path, file: UploadFile) -> dict[str, str]:
    name = file.filename or "picture.png"
    try:
        return {"name": name, "saved": save_picture(folder, name, file.file.read())}
    except DataError as error:
        return {"name": name, "problem": translated(one_line(error, 300))}


def _add_reading(routes: APIRouter, folders: OpenedFolders) -> None:
    @routes.get("/{key}")
    def overview(key: str) -> dict[str, Any]:
        opened = folders.get(key)
        with opened.lock:
            opened.session.look_again()
            return {**overview_json(opened.session), "job": job_json(folders.job(str(opened.session.folder.images)))}

    @routes.get("/{key}/queue")
    def queue(key: str, count: int = 50) -> dict[str, Any]:
        opened = folders.get(key)
        with opened.lock:
            waiting = opened.session.queue()
        return {"waiting": len(waiting), "images": [queued_json(each) for each in waiting[: min(count, MAX_COUNT)]]}

    @routes.get("/{key}/corrected")
    def corrected(key: str, count: int = 20) -> dict[str, Any]:
        opened = folders.get(key)
        with opened.lock:
            return {"images": corrected_json(opened.session, min(count, MAX_COUNT))}

    @routes.get("/{key}/image/{image}")
    def image(key: str, image: str) -> Response:
        return png_answer(folders.get(key).session.image(image).sample.image)


def _add_correcting(routes: APIRouter, folders: OpenedFolders) -> None:
    @routes.post("/{key}/correct")
    def correct_image(key: str, body: Correction) -> dict[str, Any]:
        from texlens.workflows.learn.corrections import correct, leave_out, problem_of, undo

        session = folders.get(key).session
        image, log, who = session.image(body.image), session.folder.corrections, body.who.strip() or "board"
        if body.action == "label":
            edit = correct(log, image, body.text, reading=body.reading, who=who)
        elif body.action == "leave_out":
            edit = leave_out(log, image, who=who)
        else:
            edit = undo(log, image.key, who=who)
        problem = problem_of(body.text) if body.action == "label" else ""
        return {"version": edit.number if edit else log.version, "problem": translated(problem)}


def _add_training(routes: APIRouter, folders: OpenedFolders) -> None:
    @routes.post("/{key}/read")
    def read(key: str) -> dict[str, Any]:
        """Reads the images that were not read yet."""
        return folders.start(key, []).to_json()

    @routes.post("/{key}/train")
    def train(key: str, body: TrainRequest) -> dict[str, Any]:
        from texlens.workflows.learn.session import missing_corrections

        session = folders.get(key).session
        missing = missing_corrections(session.corrections())
        if missing and session.open_round() is None:
            raise DataError(missing)
        options = ["--train", "--rehearsal", str(body.rehearsal)]
        return folders.start(key, options + [part for each in body.overrides for part in ("--set", each)]).to_json()

    @routes.post("/{key}/choose")
    def choose(key: str, body: RoundChoice) -> dict[str, Any]:
        opened = folders.get(key)
        with opened.lock:
            opened.session.choose(body.round, keep=body.keep, who=body.who.strip() or "board")
            return overview_json(opened.session)


PAGE = BoardPage("learn", "/learn", _router)
