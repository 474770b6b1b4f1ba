"""The page of comparisons as a person uses it: filters, orders and links, on rows whose answers are known."""

import json
import math
import os
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fixtures.browser import Page
from tests.fixtures.running_server import running
from tests.integration.board.pages import BOTH, HOSTILE, choose, fits, open_page, save_picture
from texlens.board.app import create_app
from texlens.board.workspace import open_workspace

pytestmark = pytest.mark.skipif(not os.environ.get("BOARD"), reason="Chromium; make test-all sets BOARD=1")
RUNS = Path(__file__).parents[2] / "fixtures" / "run_0_1" / "runs"
ROWS = {  # id: reference, domain, readings of base and adapter, their probability
    "both-right": ("x ^ { 2 }", "print", ("x ^ { 2 }", "x ^ { 2 }"), 0.99),
    "fixed": (r"\frac { a } { b } + c", "hand", (r"\frac { a } { b }", r"\frac { a } { b } + c"), 0.9),
    "broken": ("n + 1", "print", ("n + 1", "n + l"), 0.6),
    "wrong": (r"\sum _ { i = 0 } ^ { n } a _ { i } + b", "hand", ("z", "z"), 0.2),
    HOSTILE: (HOSTILE, HOSTILE, (HOSTILE, f"{HOSTILE} y"), 0.7),
}
LONGEST_FIRST = [HOSTILE, "wrong", "fixed", "both-right", "broken"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board") / "runs"
    shutil.copytree(RUNS, folder)
    run = folder / "nano"
    for number, system in enumerate(("base", "adapter")):
        lines = [
            {
                "id": name,
                "reference": reference,
                "text": texts[number],
                "domain": domain,
                "stop": "end",
                "tokens": 5,
                "log_probability": math.log(probability),
            }
            for name, (reference, domain, texts, probability) in ROWS.items()
        ]
        path = run / "predictions" / f"known.{system}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "scores" / "compare.known.json").write_text(json.dumps({"rows": 5, "systems": {"base": {}, "adapter": {}}}))
    return open_workspace(folder)


@pytest.fixture(scope="module")
def address(workspace):
    with running(create_app(workspace), timeout_graceful_shutdown=5) as address:
        yield address


@pytest.fixture(params=BOTH, ids=lambda param: "-".join(param))
def page(request, browser, address, workspace):
    size, language = request.param
    page = open_page(browser, f"{address}/?token={workspace.token}", size, language)
    page.go(f"{address}/compare?run=nano&label=known")
    page.wait("document.querySelectorAll('.compared').length === 5")
    yield page
    assert page.js("window.hacked") is None
    assert page.wrongs == []
    page.close()


SHOWN = "[...document.querySelectorAll('.compared .source .about b')].map((node) => node.textContent)"


def wait_for_rows(page: Page, rows: list[str]) -> None:
    page.wait(f"JSON.stringify({SHOWN}) === {json.dumps(json.dumps(rows, separators=(',', ':')))}")


def type_into(page: Page, filter_name: str, text: str) -> None:
    page.js(
        f"(() => {{ const box = document.getElementById('filter-{filter_name}'); box.value = {json.dumps(text)};"
        " box.dispatchEvent(new Event('input')); })()"
    )


def test_worst_first_longest_first_and_least_confident_first(page):
    rows = page.js(SHOWN)
    assert (rows[0], rows[-1]) == ("wrong", "both-right")
    choose(page, "#filter-sort", "length")
    wait_for_rows(page, LONGEST_FIRST)
    choose(page, "#filter-sort", "confidence")
    wait_for_rows(page, ["wrong", "broken", HOSTILE, "fixed", "both-right"])
    choose(page, "#filter-sort", "id")
    wait_for_rows(page, sorted(ROWS))


def test_rows_by_domain_length_confidence_outcome_and_where_they_differ(page):
    choose(page, "#filter-sort", "id")
    choose(page, "#filter-domain", "hand")
    wait_for_rows(page, ["fixed", "wrong"])
    page.click("#filter-differ")
    wait_for_rows(page, ["fixed"])
    page.click("#filter-differ")
    choose(page, "#filter-domain", "")
    wait_for_rows(page, sorted(ROWS))
    for outcome, rows in (("fixed", ["fixed"]), ("broken", [HOSTILE, "broken"]), ("wrong", ["wrong"])):
        choose(page, "#filter-outcome", outcome)
        wait_for_rows(page, rows)
    choose(page, "#filter-outcome", "")
    type_into(page, "max_length", "9")
    wait_for_rows(page, ["both-right", "broken"])
    type_into(page, "min_length", "6")
    wait_for_rows(page, ["both-right"])
    for name in ("min_length", "max_length"):
        type_into(page, name, "")
    type_into(page, "max_confidence", "0.65")
    wait_for_rows(page, ["broken", "wrong"])


def test_a_link_shows_another_person_the_same_rows(page, browser, address, workspace):
    choose(page, "#filter-domain", "hand")
    choose(page, "#filter-sort", "length")
    type_into(page, "max_confidence", "0.95")
    choose(page, "#reference", "adapter")
    wait_for_rows(page, ["wrong", "fixed"])
    page.wait("document.querySelector('#reference').value === 'adapter'")
    page.click("#copy-link")
    page.wait("document.querySelector('#notice [data-t=\"compare.copied\"]')")
    link = page.js("navigator.clipboard.readText()")
    assert parse_qs(urlsplit(link).query) == {
        "run": ["nano"],
        "label": ["known"],
        "domain": ["hand"],
        "sort": ["length"],
        "max_confidence": ["0.95"],
        "reference": ["adapter"],
    }
    other = browser.page(link)
    wait_for_rows(other, ["wrong", "fixed"])
    assert other.js("document.querySelector('#reference').value") == "adapter"
    assert "base − adapter (95%)" in other.text("#scores-table")
    assert other.wrongs == []
    other.close()


def test_readings_are_beside_each_other_with_drawings_and_colored_differences(page):
    shown_before = page.js(SHOWN)
    type_into(page, "search", "broken")
    wait_for_rows(page, ["broken"])
    page.js("document.querySelector('.compared').scrollIntoView()")
    page.wait("document.querySelectorAll('.compared .readings .drawn').length === 2")
    assert page.js("[...document.querySelectorAll('.compared .tok.s')].map((node) => node.textContent)") == [
        "l1"
    ]  # what was read, then what is there
    type_into(page, "search", "")
    wait_for_rows(page, shown_before)
    assert HOSTILE in page.text("#rows")
    assert page.js("document.querySelectorAll('#rows script, #rows img[src=x]').length") == 0
    save_picture(page, f"compare-{page.js('innerWidth')}")
    assert fits(page)
