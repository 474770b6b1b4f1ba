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

from tests.fixtures.browser import Page

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
