"""Real trainings through the board, as a person would: from the form, watched live, stopped, resumed, compared; a board
that is killed while it trains; two boards on one folder. Minutes, so only with BOARD=1 (`make test-all`)."""

import os
import re
import time

import httpx
import psutil
import pytest

from tests.fixtures.browser import Page
from tests.integration.board.pages import BOTH, at, board, choose, fits, open_page, save_picture
from texlens.core.run_folder import RunFolder

pytestmark = pytest.mark.skipif(not os.environ.get("BOARD"), reason="minutes of training; set BOARD=1")
SMALL = {
    "name": "demo",
    "data.limit": "24",
    "train.epochs": "",
    "train.steps": "8",
    "train.logging.every_steps": "1",
    "train.validation.every_steps": "3",
    "train.validation.generation_rows": "3",
    "data.splits.validation": "0.02",
    "evaluate.max_rows": "6",
    "evaluate.max_new_tokens": "16",
}


def set_fields(page: Page, values: dict[str, str]) -> None:
    for key, text in values.items():
        page.js(
            f"(() => {{ const node = document.getElementById('field-{key}'); node.value = '{text}';"
            " node.dispatchEvent(new Event(node.tagName === 'SELECT' ? 'change' : 'input')); })()"
        )


@pytest.mark.parametrize(("size", "language"), BOTH)
def test_nanos_demo_is_started_watched_stopped_resumed_and_compared(browser, tmp_path, size, language):
    folder = tmp_path / "runs"
    with board(folder) as (address, process), board(folder) as (other, _):
        page = open_page(browser, address, size, language)
        page.go(at(address, "/new"))
        set_fields(page, SMALL)
        choose(page, "#gpu", "t4")
        page.wait("/^[0-9.]+ . [0-9.]+ GiB$/.test(document.querySelector('[data-plan=memory]')?.textContent)")
        choose(page, "#gpu", "")
        page.wait("document.querySelector('#coverage') && !document.querySelector('#plan.waiting')")
        page.wait("document.querySelector('[data-plan=time]') && !document.querySelector('[data-plan=memory]')")
        assert page.text("[data-plan=steps]") == "8"
        assert page.text("#command") == "texlens train run.yaml"
        save_picture(page, f"live-new-{language}")
        page.wait("document.querySelectorAll('#row-preview img').length === 6")
        page.click("#start")
        page.wait("location.pathname === '/run/demo' && document.querySelector('#chart-loss .line')")
        save_picture(page, f"live-run-{language}")
        watcher = browser.page(other)
        watcher.wait("document.querySelector('#runs .state.training')")
        process.kill()  # the board that started the training; the other one and the training go on
        page.go(other.replace("/?", "/run/demo?"))
        if language == "zh":  # another address remembers nothing of the first
            page.click("#language")
        page.wait("!document.getElementById('stop').hidden")
        page.click("#stop")
        page.wait("document.querySelector('#state.stopped')")
        run = RunFolder(folder / "demo")
        assert run.state == "stopped"
        steps = [row["step"] for row in run.history() if "loss" in row]
        assert steps == list(range(1, len(steps) + 1))
        page.click("#resume")
        page.wait("document.querySelector('#state.training, #state.reading, #state.trained')")
        page.wait("document.querySelector('#state.trained') && document.querySelector('#scores li')")
        assert [row["step"] for row in run.history() if "loss" in row] == list(range(1, 9))
        page.wait("document.querySelectorAll('.sample img').length === 3")
        assert page.js("document.querySelector('.sample img').naturalWidth") > 0
        assert "stopped at step" in page.text("#log")
        assert "training ended" in page.text("#log")
        save_picture(page, f"live-trained-{language}")

        page.go(at(other, "/compare?run=demo"))
        page.wait("document.querySelectorAll('.compared').length === 6")
        page.js("document.querySelector('.compared').scrollIntoView()")  # pictures come when they are seen
        page.wait("document.querySelector('.compared .picture img')")
        page.js("document.getElementById('new-comparison').open = true")
        page.js("document.getElementById('systems').value = document.querySelector('#known-systems option').value")
        page.click("#begin")
        page.wait("document.getElementById('label').options.length === 2")
        page.wait("document.querySelectorAll('#scores-table thead th').length === 6")
        save_picture(page, f"live-compare-{language}")
        assert fits(page)
        assert page.wrongs == []
        page.close()


def test_a_command_that_fails_is_shown_with_its_line(browser, tmp_path):
    with board(tmp_path / "runs") as (address, _):
        page = browser.page(address)
        page.go(at(address, "/new"))
        set_fields(page, SMALL | {"data.splits.train": "nothing"})
        page.wait("!document.getElementById('start').disabled")
        page.click("#start")
        page.wait("document.querySelector('#notice.wrong')")
        assert "ended without a run (exit code 2)" in page.text("#notice")
        assert "nothing" in page.text("#output")


def test_a_killed_boards_planning_process_ends_too(tmp_path):
    with board(tmp_path / "runs") as (address, process):
        token = address.partition("token=")[2]
        origin = re.sub(r"/\?.*", "", address)
        headers = {"X-TexLens-Token": token, "Origin": origin}
        body = {"settings": ["model.path=nano", "data.path=demo"], "count": 1}
        assert httpx.post(f"{origin}/api/new/rows", json=body, headers=headers, timeout=300).status_code == 200
        (planner,) = psutil.Process(process.pid).children()
        process.kill()
        until = time.monotonic() + 30
        while planner.is_running() and planner.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
            time.sleep(0.1)
