"""The page of data: rows with search, filters, problems, duplicates and tokens; edits in a file of their own."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from texlens.board.jobs import TEXLENS, start_job
from texlens.board.pages.protocol import BoardPage
from texlens.board.pictures import png_answer
from texlens.board.rows.opened import OpenedDataSets
from texlens.board.rows.view import row_json, tokens_json
from texlens.board.workspace import Workspace
from texlens.core.errors import ConfigError
from texlens.core.language import translated
from texlens.data.browse.browser import MAX_PAGE_ROWS, PAGE_ROWS
from texlens.data.browse.query import RowQuery
from texlens.data.edits.edited_source import pinned

MAX_NOT_ROWS = 100


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpenRequest(_Body):
    path: str = Field(min_length=1, max_length=4_000)
    subset: str | None = Field(None, max_length=200)


class EditRequest(_Body):
    """`expected` is what the page showed: the row's value of this kind, null where it had none."""

    split: str
    row: int = Field(ge=0)
    kind: Literal["label", "exclude", "mark"]
    new: str | None = Field(None, max_length=100_000)
    expected: str | None = None
    note: str = Field("", max_length=1_000)
    who: str = Field("", max_length=100)


class ExportRequest(_Body):
    to: Literal["csv", "messages", "conversations", "sharegpt", "llava", "hf"]
    output: str = Field(min_length=1, max_length=4_000)


def _router(workspace: Workspace) -> APIRouter:
    routes = APIRouter(prefix="/api/data")
    data_sets = OpenedDataSets(workspace)
    _add_opening(routes, data_sets)
    _add_rows(routes, data_sets)
    _add_changes(routes, data_sets, workspace)
    return routes


def _add_opening(routes: APIRouter, data_sets: OpenedDataSets) -> None:
    @routes.get("")
    def known() -> dict[str, Any]:
        return {"known": data_sets.known()}

    @routes.post("/open")
    def open_data(body: OpenRequest) -> dict[str, Any]:
        return {"key": data_sets.open(body.path, body.subset)}

    @routes.get("/{key}")
    def about(key: str) -> dict[str, Any]:
        data = data_sets.get(key)
        browser, checking = data.browser, data.checking
        not_rows = browser.problems.not_rows if browser.problems else []
        return {
            "path": data.path,
            "subset": data.subset,
            "splits": {split: browser.counts(split) for split in browser.splits},
            "edits": str(data.edits),
            "version": browser.log.version,
            "problems": dict(browser.problems.counts) if browser.problems else None,
            "not_rows": [translated(str(finding)) for finding in not_rows[:MAX_NOT_ROWS]],
            "checking": {**vars(checking), "error": translated(checking.error)} if checking else None,
        }


def _add_rows(routes: APIRouter, data_sets: OpenedDataSets) -> None:
    @routes.get("/{key}/rows")
    def rows(
        key: str,
        split: str,
        query: Annotated[RowFilter, Query()],
    ) -> dict[str, Any]:
        browser = data_sets.get(key).browser
        page = browser.page(split, query.query, first=query.first, count=query.count)
        return {"rows": [row_json(row) for row in page.rows], "total": page.total, "first": page.first}

    @routes.get("/{key}/{split}/{row}")
    def row(key: str, split: str, row: int) -> dict[str, Any]:
        browser = data_sets.get(key).browser
        others = [row_json(each) for each in browser.beside((split, row)) if (each.split, each.row) != (split, row)]
        return {**row_json(browser.row((split, row)), whole=True), "beside": others}

    @routes.get("/{key}/{split}/{row}/image")
    def image(key: str, split: str, row: int) -> Response:
        return png_answer(data_sets.get(key).browser.sample((split, row)).image)

    @routes.get("/{key}/{split}/{row}/tokens")
    def tokens(key: str, split: str, row: int) -> dict[str, Any]:
        browser = data_sets.get(key).browser
        return tokens_json(browser.sample((split, row)), browser.row((split, row)).text, "nano")


class RowFilter(BaseModel):
    text: str = Field("", max_length=1_000)
    problem: str = ""
    edits: str = ""
    min: int | None = Field(None, ge=0)
    max: int | None = Field(None, ge=0)
    order: str = "source"
    first: int = Field(0, ge=0)
    count: int = Field(PAGE_ROWS, ge=1, le=MAX_PAGE_ROWS)

    @property
    def query(self) -> RowQuery:
        return RowQuery(self.text, self.problem, self.edits, self.min, self.max, self.order)  # pyrefly: ignore


def _add_changes(routes: APIRouter, data_sets: OpenedDataSets, workspace: Workspace) -> None:
    @routes.post("/{key}/check")
    def check(key: str) -> dict[str, Any]:
        return vars(data_sets.get(key).check())

    @routes.post("/{key}/edit")
    def edit(key: str, body: EditRequest) -> dict[str, Any]:
        browser = data_sets.get(key).browser
        row = (body.split, body.row)
        who = body.who.strip() or "board"
        browser.edit(row, body.kind, body.new, who=who, expected=body.expected, note=body.note)
        return {**row_json(browser.row(row), whole=True), "version": browser.log.version}

    @routes.post("/{key}/export")
    def export(key: str, body: ExportRequest) -> dict[str, Any]:
        data = data_sets.get(key)
        if not data.edits.is_file():
            raise ConfigError("no row was edited yet; nothing to export that the data set itself does not hold")
        options = ["--to", body.to, "-o", body.output, "--edits", pinned(str(data.edits))]
        options += ["--subset", data.subset] if data.subset else []
        job = start_job(workspace.state, "export", lambda _: [*TEXLENS, "data", "export", data.path, *options])
        return job.to_json()


PAGE = BoardPage("data", "/data", _router)
