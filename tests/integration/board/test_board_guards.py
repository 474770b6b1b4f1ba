"""What others may not do: a page from elsewhere in the same browser, and names, labels and images made to do harm."""

import json
import os

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from tests.fixtures.browser import Page
from tests.fixtures.drawn_images import drawn
from tests.fixtures.running_server import running
from tests.integration.board.pages import BOTH, HOSTILE, fill, fits, open_page, save_picture
from texlens.board.app import create_app
from texlens.board.workspace import open_workspace
from texlens.data.edits.log import EditLog
from texlens.latex.render.formats import render_png
from texlens.workflows.learn.reading import ImageReading, ReadingFile
from texlens.workflows.learn.session import LearnSession

pytestmark = pytest.mark.skipif(not os.environ.get("BOARD"), reason="Chromium; make test-all sets BOARD=1")
BAD_NAME = "<svg onload=window.hacked=1>.png"
SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>parent.hacked=1; window.hacked=1</script></svg>"
PAGE = b"<!DOCTYPE html><script>parent.hacked=1; window.hacked=1</script>"
HUGE = drawn(8, 8)[:16] + (100_000).to_bytes(4, "big") * 2 + drawn(8, 8)[24:]
"""A PNG whose header promises 100,000 by 100,000 pixels."""


@pytest.fixture
def workspace(tmp_path):
    return open_workspace(tmp_path / "runs")


@pytest.fixture
def address(workspace):
    with running(create_app(workspace), timeout_graceful_shutdown=5) as address:
        yield address


@pytest.fixture(params=BOTH, ids=lambda param: "-".join(param))
def page(request, browser, address, workspace):
    size, language = request.param
    page = open_page(browser, f"{address}/?token={workspace.token}", size, language)
    yield page
    page.close()


@pytest.fixture
def elsewhere():
    """A page of another origin."""
    app = FastAPI()
    app.get("/")(lambda: HTMLResponse("<html data-ready='yes'><body>elsewhere</body></html>"))
    with running(app) as address:
        yield address


def data_folder(tmp_path, images: dict[str, bytes]):
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in images.items():
        (folder / name).write_bytes(content)
    rows = [{"file_name": name, "text": HOSTILE} for name in images]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def assert_inert(page: Page) -> None:
    assert page.js("window.hacked") is None
    assert page.js("document.querySelectorAll('main script, main img[src=x], main svg[onload]').length") == 0
    assert page.wrongs == []


def test_a_page_from_elsewhere_can_neither_change_nor_read(page, address, elsewhere, workspace, tmp_path):
    folder = data_folder(tmp_path, {"a.png": drawn(60, 30)})
    page.go(f"{address}/data")
    fill(page, "#path", str(folder))
    page.click("form.open-data button")
    page.wait("document.querySelectorAll('#rows .row-entry').length === 1")
    key = page.js("new URLSearchParams(location.search).get('key')")
    edit = {"split": "train", "row": 0, "kind": "label", "new": "changed", "expected": None, "who": ""}
    requests = {
        f"/api/data/{key}/edit": edit,
        f"/api/data/{key}/export": {"to": "hf", "output": str(tmp_path / "out")},
        "/api/new/start": {"settings": ["model.path=nano", "data.path=demo"]},
        "/api/learn/open": {"folder": str(folder)},
    }
    page.go(elsewhere)
    for path, body in requests.items():
        send = f"fetch({json.dumps(address + path)}, {{method: 'POST', credentials: 'include', "
        text = f"body: {json.dumps(json.dumps(body))}"
        page.js(f"{send} mode: 'no-cors', headers: {{'Content-Type': 'text/plain'}}, {text}}})")
        headers = {"Content-Type": "application/json", "X-TexLens-Token": workspace.token}
        with_token = f"{send} headers: {json.dumps(headers)}, {text}}}).then(() => 'sent', () => 'refused')"
        assert page.js(with_token) == "refused"
    reading = (
        f"fetch({json.dumps(f'{address}/api/data')}, {{credentials: 'include'}}).then(() => 'read', () => 'refused')"
    )
    assert page.js(reading) == "refused"
    assert not (workspace.state / "jobs").exists()
    assert not list((workspace.state / "edits").glob("*.jsonl"))
    assert not (folder / "learn").exists()
    # the same edit from the board's own page is made
    page.go(f"{address}/data?key={key}")
    page.wait("document.querySelectorAll('#rows .row-entry').length === 1")
    page.js(f"import('/ui/api.js').then(({{post}}) => post({json.dumps(f'/api/data/{key}/edit')}, {json.dumps(edit)}))")
    (edits,) = (workspace.state / "edits").glob("*.jsonl")
    assert [each.new for each in EditLog(edits).edits()] == ["changed"]


def test_hostile_names_labels_and_images_of_a_data_set_are_inert(page, address, tmp_path):
    images = {BAD_NAME: drawn(60, 30), "b.png": SCRIPT, "c.png": PAGE, "d.png": HUGE, "e.png": drawn(60, 30)[:60]}
    folder = data_folder(tmp_path, images)
    page.go(f"{address}/data")
    fill(page, "#path", str(folder))
    page.click("form.open-data button")
    page.wait("document.querySelectorAll('#rows .row-entry').length === 5")
    page.wait("document.querySelectorAll('#rows [data-t=\"data.no-image\"]').length === 4")
    assert page.js("document.querySelectorAll('#rows img').length") == 1
    page.click("#controls button.plain")
    page.wait("document.querySelector('#controls option[value=any]') && document.querySelector('#rows .badge.off')")
    for row in range(5):
        page.click(f"[data-row='train/{row}']")
        page.wait(f"document.querySelector('#detail[open] h2')?.textContent === 'train {row}'")
        page.wait("document.querySelector('#detail .live').textContent.length > 0")
        assert page.js("document.querySelector('#detail textarea').value") == HOSTILE
        assert_inert(page)
        page.click("#detail [data-t='data.close']")
    save_picture(page, f"data-hostile-{page.js('innerWidth')}")
    assert fits(page)


def test_hostile_names_readings_and_images_of_a_folder_to_learn_are_inert(page, address, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, content in {BAD_NAME: render_png("x+1"), "b<i>.png": SCRIPT, "c.png": PAGE, "d.png": HUGE}.items():
        (photos / name).write_bytes(content)
    session = LearnSession(photos)
    readings = [
        ImageReading(key, HOSTILE, HOSTILE, log_probability=-0.5)
        if image.name == BAD_NAME
        else ImageReading(key, "", stop="failed", error=f"{image.name}: no image")
        for key, image in session.images.by_key.items()
    ]
    ReadingFile(session.folder.root / "readings", session._identity(session.state.model)).append(readings)
    page.go(f"{address}/learn")
    fill(page, "#folder", str(photos))
    page.click("form.open-data button")
    for left in (4, 3, 2, 1):
        page.wait(f"document.querySelector('#correcting .small')?.textContent.includes(' {left} ')")
        save_picture(page, f"learn-hostile-{page.js('innerWidth')}-{left}")
        is_picture = BAD_NAME in page.text("#correcting .small")
        assert page.js("document.querySelector('#correction').value") == (HOSTILE if is_picture else "")
        assert_inert(page)
        assert fits(page)
        if is_picture:
            page.wait("document.querySelector('#correcting .live').textContent.length > 0")
            page.press("Enter")
        else:
            page.press("x", "Alt")
    page.wait("!document.querySelector('#correction')")
    edits = {edit.id: (edit.kind, edit.new) for edit in EditLog(photos / "learn" / "corrections.jsonl").edits()}
    assert edits.pop(BAD_NAME) == ("label", HOSTILE)
    assert {kind for kind, _ in edits.values()} == {"exclude"}
    assert set(edits) == {"b<i>.png", "c.png", "d.png"}
