"""The page of data as a person uses it: rows are marked, excluded, edited and exported by clicks; two boards on one
folder; a board that is killed while someone edits."""

import json
import os
import re
import time

import pytest

from tests.fixtures.browser import Page
from tests.fixtures.running_server import running
from tests.integration.board.pages import BOTH, HOSTILE, at, board, choose, fill, fits, open_page, save_picture
from tests.unit.data.tables import write_parquet
from texlens.board.app import create_app
from texlens.board.jobs import list_jobs
from texlens.board.workspace import open_workspace
from texlens.data.edits.log import EditLog
from texlens.data.load import load_split

pytestmark = pytest.mark.skipif(not os.environ.get("BOARD"), reason="Chromium; make test-all sets BOARD=1")
LABELS = [r"\frac{1}{2}", "x^2", "y^3", r"\alpha+\beta"]


@pytest.fixture
def data(tmp_path):
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", LABELS)
    return tmp_path / "d"


def open_row(page: Page, row: int) -> None:
    page.click(f"[data-row='train/{row}']")
    page.wait(f"document.querySelector('#detail[open] h2')?.textContent === 'train {row}'")


def close_row(page: Page) -> None:
    page.click("#detail [data-t='data.close']")
    page.wait("!document.querySelector('#detail[open]')")


def answer(page: Page, text: str) -> None:
    """What the next question of the page is answered with."""
    page.js(f"void (window.prompt = () => {json.dumps(text)})")


def open_data(page: Page, data) -> None:
    fill(page, "#path", str(data))
    page.click("form.open-data button")
    page.wait(f"document.querySelectorAll('#rows .row-entry').length === {len(LABELS)}")


@pytest.mark.parametrize(("size", "language"), BOTH)
def test_rows_are_marked_excluded_edited_and_exported_by_clicks(browser, tmp_path, data, size, language):
    workspace = open_workspace(tmp_path / "runs")
    with running(create_app(workspace)) as address:
        page = open_page(browser, f"{address}/data?token={workspace.token}", size, language)
        open_data(page, data)
        for row, action, undo, word in ((0, "mark", "unmark", HOSTILE), (1, "exclude", "include", "blurred")):
            open_row(page, row)
            answer(page, word)
            page.click(f"#detail [data-t='data.{action}']")
            page.wait(f"document.querySelector('#detail [data-t=\"data.{undo}\"]')")
            close_row(page)
        page.wait("document.querySelector('[data-row=\"train/1\"]').classList.contains('is-excluded')")
        assert HOSTILE in page.text("[data-row='train/0'] .badges")
        open_row(page, 2)
        fill(page, "#detail textarea", r"\sqrt{z}")
        page.wait("document.querySelector('#detail .live svg')")
        page.click("#detail [data-t='data.save']")
        page.wait("document.querySelector('#detail .history li')")
        page.click("#detail [data-t='data.tokens']")
        page.wait("document.querySelectorAll('#detail .token.trained').length > 2")
        trained = "[...document.querySelectorAll('#detail .token.trained')].map((node) => node.textContent).join('')"
        assert r"\sqrt" in page.js(trained)
        save_picture(page, f"data-row-{size}-{language}")
        close_row(page)
        page.wait("document.querySelector('#about [data-t=\"data.export\"]').textContent.includes('3')")
        save_picture(page, f"data-edited-{size}-{language}")
        assert fits(page)
        choose(page, "#controls select", "excluded")
        page.wait("document.querySelectorAll('#rows .row-entry').length === 1")
        choose(page, "#controls select", "")
        page.wait("document.querySelectorAll('#rows .row-entry').length === 4")
        answer(page, str(tmp_path / "exported"))
        page.click("#about [data-t='data.export']")
        page.wait("document.querySelector('#notice [data-t=\"data.export.started\"]')")
        (job,) = list_jobs(workspace.state)
        until = time.monotonic() + 300
        while job.exit_code is None and time.monotonic() < until:
            time.sleep(0.1)
        assert (job.kind, job.exit_code) == ("export", 0), job.output.read_text()
        assert load_split(str(tmp_path / "exported")).texts() == [LABELS[0], r"\sqrt{z}", LABELS[3]]
        assert load_split(str(data)).texts() == LABELS
        assert page.js("window.hacked") is None
        assert page.wrongs == []
        page.close()


def test_two_boards_on_one_folder_lose_no_edit_and_overwrite_none(browser, tmp_path, data):
    workspaces = [open_workspace(tmp_path / "runs") for _ in range(2)]
    with running(create_app(workspaces[0])) as first, running(create_app(workspaces[1])) as second:
        pages = [
            browser.page(f"{address}/data?token={workspace.token}")
            for address, workspace in zip((first, second), workspaces, strict=True)
        ]
        for page, who in zip(pages, ("anna", "ben"), strict=True):
            open_data(page, data)
            open_row(page, 1)
            fill(page, "#detail input", who)
        anna, ben = pages
        fill(anna, "#detail textarea", "a")
        anna.click("#detail [data-t='data.save']")
        anna.wait("document.querySelector('#detail .history li')")
        fill(ben, "#detail textarea", "b")  # he still sees the label of before
        ben.click("#detail [data-t='data.save']")
        ben.wait("document.querySelector('#notice.wrong')")
        assert "changed to 'a' in the meantime" in ben.text("#detail > .notice.wrong")
        save_picture(ben, "data-conflict", whole=False)
        edits = next((workspaces[0].state / "edits").glob("*.jsonl"))
        assert [(edit.who, edit.new) for edit in EditLog(edits).edits()] == [("anna", "a")]
        close_row(ben)
        ben.go(ben.js("location.href"))
        ben.wait("document.querySelector('[data-row=\"train/1\"] code')?.textContent === 'a'")
        open_row(ben, 1)
        assert ben.js("document.querySelector('#detail textarea').value") == "a"
        fill(ben, "#detail input", "ben")
        fill(ben, "#detail textarea", "b")
        ben.click("#detail [data-t='data.save']")
        ben.wait("document.querySelectorAll('#detail .history li').length === 2")
        states = [(edit.who, edit.old, edit.new) for edit in EditLog(edits).edits()]
        assert states == [("anna", "x^2", "a"), ("ben", "a", "b")]
        for page in pages:
            assert page.wrongs == []
            page.close()


def test_a_board_killed_while_someone_edits_loses_nothing_that_was_saved(browser, tmp_path, data):
    with board(tmp_path / "runs") as (address, process):
        page = browser.page(address)
        page.go(at(address, "/data"))
        open_data(page, data)
        open_row(page, 1)
        fill(page, "#detail textarea", "saved")
        page.click("#detail [data-t='data.save']")
        page.wait("document.querySelector('#detail .history li')")
        process.kill()
        process.wait()
        fill(page, "#detail textarea", "too late")
        page.click("#detail [data-t='data.save']")
        page.wait("document.querySelector('#detail > .notice.wrong')")
        assert page.js("document.querySelector('#detail textarea').value") == "too late"
        path = page.js("location.pathname + location.search")
    with board(tmp_path / "runs") as (address, _):
        page.go(address)
        page.go(at(address, path))
        page.wait("document.querySelector('[data-row=\"train/1\"] code')?.textContent === 'saved'")
        assert re.search("edits=|key=", path)
        open_row(page, 1)
        assert page.js("document.querySelectorAll('#detail .history li').length") == 1
        page.close()
