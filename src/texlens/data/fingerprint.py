"""Fingerprints of rows: SHA-256 over everything that a row holds, the contents of its images included.

An image in a file of its own is read once: its hash is remembered by path, size and modification time in the cache
folder, and computed again only when one of these has changed.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from texlens.core.cache import cache_folder
from texlens.core.errors import DataError
from texlens.core.regular_files import open_regular
from texlens.data.lazy_image import LazyImage
from texlens.data.sample import Sample

FILE = "file-hashes.sqlite"
SCHEMA = "CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, sha256 TEXT)"
MIN_AGE_NS = 2_000_000_000
"""A younger file is hashed every time: it could change again without another modification time."""


class FileHashes:
    """SHA-256 of files by path, size and modification time. Without a usable cache folder it hashes every time.

    Example:
        with FileHashes() as hashes:
            sample_fingerprint(sample, hashes)
    """

    def __init__(self, folder: Path | None = None):
        self._folder = folder
        self._file: sqlite3.Connection | None = None
        self._new: dict[str, tuple[int, int, str]] = {}

    def __enter__(self) -> "FileHashes":
        with contextlib.suppress(OSError, sqlite3.Error):
            folder = self._folder or cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(folder / FILE, timeout=10)
            self._file.execute(SCHEMA)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        with contextlib.suppress(sqlite3.Error), self._file:
            rows = [(path, *values) for path, values in self._new.items()]
            self._file.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)", rows)
        self._file.close()
        self._file = None

    def of(self, path: Path) -> str:
        """
        Raises:
            OSError, DataError: the file can't be read.
        """
        with open_regular(path) as file:
            stat = os.fstat(file.fileno())
            key = ascii(os.path.realpath(path))
            known = self._new.get(key) or self._known(key)
            if known is not None and known[:2] == (stat.st_size, stat.st_mtime_ns):
                return known[2]
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - stat.st_mtime_ns > MIN_AGE_NS:
            self._new[key] = (stat.st_size, stat.st_mtime_ns, digest)
        return digest

    def _known(self, key: str) -> tuple[int, int, str] | None:
        if self._file is None:
            return None
        try:
            return self._file.execute("SELECT size, mtime, sha256 FROM hashes WHERE path = ?", (key,)).fetchone()
        except sqlite3.Error:
            return None


def sample_fingerprint(sample: Sample, hashes: FileHashes | None = None) -> str:
    """Changes with the row's images, texts, questions, turns, loss mask, pixel budgets, domain, id and extra fields."""
    values: dict[str, Any] = {
        "id": sample.id,
        "images": [image_fingerprint(image, hashes) for image in sample.images],
        "answers": sample.answers,
        "prompt": sample.prompt,
        "system": sample.system,
        "domain": sample.domain,
        "history": [(turn.role, turn.text) for turn in sample.history],
        "loss_mask": sample.loss_mask,
        "extra": sample.extra,
    }
    if sample.more_questions:
        values["more_questions"] = [(each.prompt, each.text, each.task) for each in sample.more_questions]
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def rows_fingerprint(samples: Iterable[Sample], rejected: Iterable[str] = ()) -> str:
    """Of rows in their order, and of the rejected ones as they are reported."""
    digest = hashlib.sha256()
    with FileHashes() as hashes:
        for sample in samples:
            digest.update(sample_fingerprint(sample, hashes).encode())
    for row in rejected:
        digest.update(ascii(row).encode())
    return digest.hexdigest()


def image_fingerprint(image: LazyImage, hashes: FileHashes | None = None) -> str:
    """SHA-256 of the encoded bytes, with the pixel budget where it has one; a fixed text where it can't be read."""
    budget = f"@{image.max_pixels}" if image.max_pixels is not None else ""
    if image.path is not None:
        return _content(image.path, hashes or FileHashes()) + budget
    try:
        return hashlib.sha256(image.encoded()).hexdigest() + budget
    except DataError:
        return "unreadable"


def _content(path: Path, hashes: FileHashes) -> str:
    try:
        return hashes.of(path)
    except (OSError, DataError):
        return "unreadable"
