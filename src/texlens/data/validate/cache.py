"""What was found out about images and labels, kept between runs: a second run of anything that asks costs seconds.

An image's facts are kept under a hash of its bytes, so rows that move, are copied or come in another data set are
known; those of an image in a file of its own under its path, size and time of change, so that the file is not read.
A kill loses nothing that was committed. The file may be removed at any time.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from texlens.core.cache import cache_folder
from texlens.data.sample import LazyImage
from texlens.data.validate.image_stats import VERSION, ImageStats

FILE = "data-facts.sqlite"
AT_ONCE = 500
"""Keys asked for in one statement."""
COLUMNS = ", ".join(ImageStats._fields)


def image_key(image: LazyImage, data: bytes | None) -> bytes:
    """Of the bytes where they are given, else of the image's file."""
    if data is not None:
        return hashlib.blake2b(data, digest_size=16).digest()
    path = image.path
    assert path is not None
    stat = path.stat()
    identity = f"{os.path.realpath(path)}\0{stat.st_size}\0{stat.st_mtime_ns}"
    return hashlib.blake2b(identity.encode(errors="surrogateescape"), digest_size=16, person=b"file").digest()


def text_key(text: str, render: bool) -> bytes:
    data = text.encode("utf-8", errors="surrogatepass")
    return hashlib.blake2b(data, digest_size=16, person=b"render" if render else b"parse").digest()


class StatsCache:
    """Facts by key. Without a folder, or where its disk rejects, it remembers nothing and nothing fails."""

    def __init__(self, folder: Path | None):
        self.fault = ""
        self._open(folder)

    def images(self, keys: Sequence[bytes]) -> dict[bytes, ImageStats]:
        rows = self._select(f"SELECT key, {COLUMNS} FROM images_{VERSION}", keys)
        return {key: ImageStats(*values) for key, *values in rows}

    def texts(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        return dict(self._select(f"SELECT key, fault FROM texts_{VERSION}", keys))

    def add(self, images: Mapping[bytes, ImageStats], texts: Mapping[bytes, str]) -> None:
        """Kept for good once this returns."""
        keys_of_rows = ", ".join("?" * (1 + len(ImageStats._fields)))
        image_rows = [(key, *stats) for key, stats in images.items()]
        self._write(f"INSERT OR REPLACE INTO images_{VERSION} VALUES ({keys_of_rows})", image_rows)
        self._write(f"INSERT OR REPLACE INTO texts_{VERSION} VALUES (?, ?)", list(texts.items()))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, folder: Path | None) -> None:
        self._file: sqlite3.Connection | None = None
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _connected(folder / FILE)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def _select(self, select: str, keys: Sequence[bytes]) -> Iterable[tuple]:
        rows: list[tuple] = []
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            if self._file is None:
                return []
            try:
                rows += self._file.execute(f"{select} WHERE key IN ({', '.join('?' * len(some))})", some).fetchall()
            except sqlite3.Error as error:
                self._give_up(error)
        return rows

    def _write(self, insert: str, rows: Sequence[tuple]) -> None:
        if self._file is None or not rows:
            return
        try:
            with self._file:
                self._file.executemany(insert, rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.fault = f"the cache in {cache_folder()} can't be used ({error}); remove it, or set TEXLENS_CACHE"
        self.close()


def _connected(path: Path) -> sqlite3.Connection:
    """The file with its tables; a damaged one is created again."""
    try:
        return _prepared(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        path.unlink()
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=60)
    try:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")
        file.execute(f"CREATE TABLE IF NOT EXISTS images_{VERSION} (key BLOB PRIMARY KEY, {COLUMNS}) WITHOUT ROWID")
        file.execute(f"CREATE TABLE IF NOT EXISTS texts_{VERSION} (key BLOB PRIMARY KEY, fault TEXT) WITHOUT ROWID")
    except sqlite3.Error:
        file.close()
        raise
    return file
