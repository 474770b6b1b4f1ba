"""What the board's browser tests share: a board as a process, and what a person does on a page."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fixtures.browser import Browser, Page

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@contextmanager
def board(folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """A board as a process: its address with the token, and the process."""
    command = [sys.executable, "-m", "texlens", "board", str(folder), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://\S+", process.stderr.readline())[0]
        yield address, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


BOTH = [("desktop", "en"), ("phone", "zh")]
"""Sizes and languages of tests that need not see all four."""


def open_page(browser: Browser, address: str, size: str, language: str) -> Page:
    """A page of the board, whose address has the token, in a language that is chosen by its button."""
    page = browser.page(address, width=SIZES[size][0], height=SIZES[size][1])
    if language == "zh":
        page.click("#language")
    return page


def at(address: str, path: str) -> str:
    """A path of the board that printed `address`."""
    return re.sub(r"/\?.*", path, address)


def fill(page: Page, selector: str, text: str) -> None:
    page.js(f"(() => {{ const box = document.querySelector({json.dumps(selector)}); box.focus(); box.select(); }})()")
    page.type(text)


def choose(page: Page, selector: str, value: str) -> None:
    """An option of a list."""
    page.js(
        f"(() => {{ const box = document.querySelector({json.dumps(selector)}); box.value = {json.dumps(value)};"
        " box.dispatchEvent(new Event('change')); })()"
    )


def fits(page: Page) -> bool:
    return page.js("document.documentElement.scrollWidth <= innerWidth")


def save_picture(page: Page, name: str, *, whole: bool = True) -> None:
    """For looking at: SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(Path(folder) / f"{name}.png", whole=whole)
