"""The board's pages in headless Chromium, on run folders that are written here: what a person sees, in both languages,
on a desktop and a phone, with hostile names and labels. `test_board_training.py` starts real trainings."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.fixtures.browser import Page
from tests.fixtures.running_server import running
from tests.integration.board.pages import HOSTILE, SIZES, fits, save_picture
from tests.unit.data.tables import write_parquet
from texlens.board.app import create_app
from texlens.board.pages import new_run
from texlens.board.runs import process
from texlens.board.workspace import open_workspace
from texlens.latex.render.formats import render_png
from texlens.workflows.learn.reading import ImageReading, ReadingFile
from texlens.workflows.learn.session import LearnSession

BACKGROUNDS = {False: "rgb(246, 247, 249)", True: "rgb(15, 18, 22)"}
"""Light and dark."""
RUNS = Path(__file__).parents[2] / "fixtures" / "run_0_1" / "runs"

pytestmark = pytest.mark.skipif(
    not os.environ.get("BOARD"), reason="half a minute of Chromium; make test-all sets BOARD=1"
)


class FakePlanner:
    """A plan at once, without torch; `test_worker.py` tests the real one."""

    def ask(self, task, values, **more):
        if task == "rows":
            pieces = list(HOSTILE)
            entry = {"id": HOSTILE, "text": HOSTILE, "tokens": pieces, "problem": HOSTILE}
            return {"rows": 660, "start": 0, "entries": [entry], "exact": True}
        groups = values.get("adapter", {}).get("targets", ["text-attention", "text-mlp"])
        coverage = [
            {"group": name, "matched": 24 if name in groups else 0, "total": 24, "parameters": 1000}
            for name in ("text-attention", "text-mlp", "vision", "merger")
        ]
        parameters = {"total": 12_000_000, "trainable": 1000 * len(groups), "base": 11_000_000}
        return {"parameters": parameters, "coverage": coverage, "tokens": None, "steps": 166, "notes": [HOSTILE]}

    def close(self):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("board") / "runs"
    shutil.copytree(RUNS, folder)
    live = folder / "live"
    (live / "samples" / "images").mkdir(parents=True)
    progress = {"started": "2026-11-30T10:00:00+00:00", "from_step": 0, "max_steps": 10}
    (live / "run.json").write_text(json.dumps({"state": "stopped", "created": "2026", "progress": progress}))
    (live / "config.yaml").write_text((folder / "nano" / "config.yaml").read_text())
    rows = [{"step": step, "loss": 2.0 / step, "samples_per_s": 3.0, "gpu_utilization": 97} for step in (1, 2, 3)]
    (live / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (live / "log.txt").write_text(f"2026  {HOSTILE}\n")
    (live / "samples" / "images" / "000.png").write_text(f"<svg xmlns='http://www.w3.org/2000/svg'>{HOSTILE}</svg>")
    sample = {"id": HOSTILE, "reference": "x ^ { 2 }", "text": f"x ^ {{ 3 }} {HOSTILE}", "image": "000.png"}
    (live / "samples" / "00000003.jsonl").write_text(json.dumps(sample) + "\n")
    hostile = folder / "a<b>&'\"c"
    hostile.mkdir()
    (hostile / "run.json").write_text(json.dumps({"state": HOSTILE, "base": HOSTILE, "created": HOSTILE}))
    return folder


@pytest.fixture(scope="module")
def workspace(folder):
    return open_workspace(folder)


@pytest.fixture(scope="module")
def address(workspace):
    before = new_run.PlanningClient
    new_run.PlanningClient = FakePlanner
    with running(create_app(workspace), timeout_graceful_shutdown=5) as address:
        yield address
    new_run.PlanningClient = before


@pytest.fixture(scope="module")
def keys(address, workspace, tmp_path_factory) -> dict[str, str]:
    """Of a data set and of a folder to learn that were opened, by the page."""
    folder = tmp_path_factory.mktemp("opened")
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", [r"\frac{1}{2}", "x^2", HOSTILE])
    for number, formula in enumerate(("x+1", r"\sqrt{y}", r"\int_0^1 z")):
        (folder / f"{number}.png").write_bytes(render_png(formula))
    session = LearnSession(folder)
    readings = [ImageReading(key, r"\sqrt{u}+v", log_probability=-0.4) for key in session.images.by_key]
    ReadingFile(session.folder.root / "readings", session._identity("nano")).append(readings)
    headers = {"X-TexLens-Token": workspace.token, "Origin": address}
    bodies = {"data": {"path": str(folder / "data")}, "learn": {"folder": str(folder)}}
    return {
        name: httpx.post(f"{address}/api/{name}/open", json=body, headers=headers, timeout=120).json()["key"]
        for name, body in bodies.items()
    }


@pytest.fixture(scope="module")
def page(browser, address, workspace) -> Page:
    return browser.page(f"{address}/?token={workspace.token}")


@pytest.fixture(autouse=True)
def nothing_went_wrong(page):
    page.size(*SIZES["desktop"])
    yield
    assert page.wrongs == []
    assert page.js("window.hacked") is None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/run/live",
        "/run/a%3Cb%3E%26'%22c",
        "/new",
        "/compare?run=nano&label=test",
        "/data?key=KEY",
        "/learn?key=KEY",
        "/data",
        "/learn",
    ],
)
def test_every_page_fits_desktop_and_phone_in_both_languages_light_and_dark(page, address, keys, path):
    name = path[1:].partition("?")[0].partition("/")[0] or "runs"
    page.go(address + path.replace("KEY", keys.get(name, "")))
    for size, (width, height) in SIZES.items():
        page.size(width, height)
        for dark in (False, True):
            page.scheme(dark)
            for _ in range(2):
                assert fits(page)
                language = page.js("document.documentElement.lang")
                untranslated = (
                    "[...document.querySelectorAll('[data-t]')].filter((node) => node.textContent === node.dataset.t)"
                )
                assert page.js(f"{untranslated}.map((node) => node.dataset.t)") == []
                assert page.js("getComputedStyle(document.body).backgroundColor") == BACKGROUNDS[dark]
                kind = "hostile" if "%3C" in path else "open" if "key" in path else "page"
                save_picture(page, f"all-{name}-{kind}-{size}-{language[:2]}-{'dark' if dark else 'light'}")
                page.js("document.getElementById('language').click()")
    page.scheme(False)


def test_runs_are_listed_and_the_language_changes(page, address):
    page.go(f"{address}/")
    page.wait("document.querySelectorAll('#runs tbody tr').length === 3")
    assert "adapter 50.0% (0.0–100.0)" in page.text("#runs")
    assert "a<b>&'\"c" in page.text("#runs")
    page.click("#language")
    assert page.text("h1") == "训练"
    assert "完全匹配" in page.text("#runs")
    page.click("#language")
    page.click("#runs a[href='/run/live']")
    page.wait("location.pathname === '/run/live'")


def test_curves_grow_while_the_page_is_open(page, address, folder):
    page.go(f"{address}/run/live")
    page.wait("document.querySelector('#chart-loss .line')")
    points = "document.querySelector('#chart-loss .line').getAttribute('points').split(' ').length"
    assert page.js(points) == 3
    assert page.text("#chart-gpu_utilization .readout") == "GPU utilization, % 97"
    with (folder / "live" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "loss": 0.25, "eval_loss": 0.5}\n')
    page.wait(f"{points} === 4")
    assert page.text("#chart-loss .readout") == "training loss 0.25 · validation loss 0.5"
    (folder / "live" / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5}\n')
    page.wait(f"{points} === 2")


def test_readings_and_log_are_text_whatever_they_hold(page, address):
    page.go(f"{address}/run/live")
    page.wait("document.querySelector('.sample')")
    assert HOSTILE in page.text("#log")
    assert page.text(".sample .tok.s") == "32"
    assert page.js("document.querySelectorAll('.sample img').length") == 1
    assert page.js("document.querySelector('.sample img').naturalWidth") == 0


def test_a_stopped_run_is_resumed_by_its_button(page, address, monkeypatch, workspace):
    code = "import sys; print('resuming', sys.argv[-1])"
    monkeypatch.setattr(process, "TEXLENS", (sys.executable, "-c", code))
    page.go(f"{address}/run/live")
    page.wait("!document.getElementById('resume').hidden")
    page.click("#resume")
    page.wait("document.getElementById('notice').textContent")
    assert page.text("#notice") == "Resuming from the last checkpoint."
    (job,) = list((workspace.state / "jobs").glob("*-resume"))
    until = time.monotonic() + 30
    while not (job / "exit.json").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert (job / "output.log").read_text().split() == ["resuming", str(workspace.folder / "live")]


def test_the_form_shows_plan_run_file_and_what_is_wrong(page, address):
    page.go(f"{address}/new")
    page.wait("document.querySelector('#coverage')")
    assert "learning_rate: 0.002" in page.text("#yaml")
    page.js("document.querySelector('[data-branch=adapter]').open = true")
    page.click("[data-group=merger]")
    page.wait("document.getElementById('yaml').textContent.includes('- merger')")
    set_field(page, "train.epochs", "-1")
    page.wait("document.getElementById('problem').textContent.includes('train.epochs')")
    assert page.js("document.getElementById('start').disabled")
    set_field(page, "train.epochs", "3")
    page.wait("!document.getElementById('start').disabled")
    assert "epochs: 3" in page.text("#yaml")
    assert HOSTILE in page.text("#row-preview")
    assert HOSTILE in page.text(".warnings")


def test_filters_help_and_the_servers_messages_change_with_the_language(page, address):
    worst = "document.querySelector('#filter-sort')?.selectedOptions[0].textContent"
    page.go(f"{address}/compare?run=nano&label=test")
    page.wait(f"{worst} === 'worst first'")
    page.click("#language")
    assert page.js(worst) == "最差在前"
    page.go(f"{address}/new")
    page.wait("document.querySelector('#coverage')")
    assert "TexLens 自带的模型 `nano`" in page.text("#form")
    assert "自带的演示数据" in page.text("#summary")
    set_field(page, "train.epochs", "-1")
    page.wait("document.getElementById('problem').textContent.includes('应当大于 0')")
    page.click("#language")
    assert "the model that ships with TexLens" in page.text("#form")
    page.wait("document.getElementById('problem').textContent.includes('greater than 0')")


def test_another_adapter_kind_drops_the_settings_that_it_does_not_have(page, address):
    page.go(f"{address}/new?from=run:nano")
    page.wait("document.getElementById('yaml').textContent")
    page.js("document.querySelector('[data-branch=adapter]').open = true")
    page.js(
        "(() => { const kind = document.getElementById('field-adapter.kind'); kind.value = 'full';"
        " kind.dispatchEvent(new Event('change')); })()"
    )
    page.wait("document.getElementById('yaml').textContent.includes('kind: full')")
    assert "rank:" not in page.text("#yaml")
    assert page.js("document.getElementById('field-adapter.rank')") is None


def test_settings_of_two_runs_are_compared(page, address):
    page.go(f"{address}/new")
    for side, value in (("left", "run:nano"), ("right", "recipe:nano_latex-ocr_lora")):
        page.js(f"document.getElementById('{side}').value = '{value}'")
    page.click("#compare-settings")
    page.wait("document.querySelector('#differences table')")
    assert "adapter.rank\t1\t16" in page.text("#differences")


def test_rows_are_compared_and_the_link_holds_the_choices(page, address):
    page.go(f"{address}/compare?run=nano&label=test")
    page.wait("document.querySelectorAll('.compared').length === 4")
    assert "adapter − base (95%)" in page.text("#scores-table")
    assert "McNemar p 1.0000" in page.text("#outcomes")
    page.wait("document.querySelector('.readings .drawn')")
    page.click("#filter-differ")
    page.wait("document.querySelectorAll('.compared').length === 0")
    assert page.text("#row-count") == "0 of 4 rows"
    page.click("#filter-differ")
    set_value(page, "filter-search", "test-2")
    page.wait("document.querySelectorAll('.compared').length === 1")
    link = page.js("location.href")
    assert link.endswith("/compare?run=nano&label=test&search=test-2")
    page.go(link)
    page.wait("document.querySelectorAll('.compared').length === 1")
    page.js("document.querySelector('[data-run=live]').click()")
    page.wait("document.querySelectorAll('#curves .line.s2').length")
    assert "curves=nano%2Clive" in page.js("location.search")


def test_without_the_token_the_page_may_only_look(browser, address, monkeypatch):
    visitor = browser.page(f"{address}/run/live")
    visitor.wait("!document.getElementById('resume').hidden")
    visitor.click("#resume")
    visitor.wait("document.getElementById('notice').textContent")
    assert "may only look" in visitor.text("#notice")
    visitor.close()


def set_field(page: Page, key: str, text: str) -> None:
    set_value(page, f"field-{key}", text)


def set_value(page: Page, element: str, text: str) -> None:
    page.js(
        f"(() => {{ const node = document.getElementById({json.dumps(element)}); node.value = {json.dumps(text)};"
        " node.dispatchEvent(new Event('input')); })()"
    )
