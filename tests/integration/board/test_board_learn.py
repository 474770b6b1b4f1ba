"""The page of corrections with two readers, on readings that are known."""

import os

import pytest

from tests.fixtures.running_server import running
from tests.integration.board.pages import BOTH, fill, fits, open_page, save_picture
from texlens.board.app import create_app
from texlens.board.jobs import list_jobs
from texlens.board.workspace import open_workspace
from texlens.latex.render.formats import render_png
from texlens.workflows.learn.reading import ImageReading, ReadingFile
from texlens.workflows.learn.session import LearnSession

pytestmark = pytest.mark.skipif(not os.environ.get("BOARD"), reason="Chromium; make test-all sets BOARD=1")
FORMULAS = {"a.png": "x+1", "b.png": "y^2", "c.png": "z_3"}
SECOND = {"a.png": "x+1", "b.png": "y^2", "c.png": "z_8"}
"""What the two readers read; they differ on c.png."""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(LearnSession, "_identity", lambda self, model: "first" if model == "nano" else "second")
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, formula in FORMULAS.items():
        (folder / name).write_bytes(render_png(formula))
    session = LearnSession(folder, hold_out=0.0001)
    for identity, texts in (("first", FORMULAS), ("second", SECOND)):
        readings = [
            ImageReading(
                key, texts[image.name], log_probability=-0.1, other_view="y" if image.name == "b.png" else None
            )
            for key, image in session.images.by_key.items()
        ]
        ReadingFile(session.folder.root / "readings", identity).append(readings)
    return folder


@pytest.mark.parametrize(("size", "language"), BOTH)
def test_where_two_readers_or_two_views_differ_there_is_doubt(browser, tmp_path, photos, size, language):
    workspace = open_workspace(tmp_path / "runs")
    with running(create_app(workspace)) as address:
        page = open_page(browser, f"{address}/learn?token={workspace.token}", size, language)
        fill(page, "#folder", str(photos))
        fill(page, "#second", "another-reader")
        page.click("form.open-data button")
        order = []
        for _ in FORMULAS:
            name = "document.querySelector('#correcting .small')?.textContent.split(' · ')[0]"
            page.wait(f"{name} && ![...{order}].includes({name})")
            order.append(page.text("#correcting .small").split(" · ")[0])
            badges = {name: page.text(f"#correcting [data-t='learn.{name}']") for name in ("models", "views")}
            assert bool(badges["models"]) is (order[-1] == "c.png")
            assert bool(badges["views"]) is (order[-1] == "b.png")
            page.press("s", "Alt")
        assert set(order[:2]) == {"b.png", "c.png"}
        assert "another-reader" in page.text("#state")
        assert list_jobs(workspace.state) == []  # both have read all, so no process was started
        save_picture(page, f"learn-two-readers-{size}-{language}")
        assert fits(page)
        assert page.wrongs == []
        page.close()
