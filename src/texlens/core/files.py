"""Atomic writes: a SIGKILL at any moment leaves the old file or the new one, never a part."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write aside, flush to disk, rename. What UTF-8 can't hold, such as a file name's odd byte, is escaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    with naming(path):
        with aside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the file name to an `OSError` raised inside; the error of a full disk has none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256_of(*paths: Path) -> str:
    """Of the files' bytes, one file after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, put in the place of `path` when the block ends well and removed when it does not."""
    aside = path.with_name(f".{path.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    swap_in(aside, path)


def swap_in(aside: Path, path: Path, *, flushed: bool = False) -> None:
    """Rename the finished folder `aside` to `path`; an older `path` is moved out of the way first, then removed.

    Each file is flushed to the disk before, unless the caller has done so (of 100,000 files at once, say).
    """
    for file in aside.rglob("*"):
        if not flushed and file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.replace(path, old)
    os.replace(aside, path)
    shutil.rmtree(old, ignore_errors=True)
