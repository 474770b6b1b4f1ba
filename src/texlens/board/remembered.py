"""Things that a person opened on a page (data sets, folders of images), by a key that links and reading requests name.

Opening needs the token; reading only ever names a key. So no page from elsewhere makes the board look at a path. Boards
on one folder share the file.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from texlens.core.errors import RunError
from texlens.core.files import write_json
from texlens.core.locks import wait_for_lock

MAX_REMEMBERED = 50


class Remembered:
    """A file of JSON objects, the newest first."""

    def __init__(self, path: Path):
        self.path = path

    def entries(self) -> list[dict[str, Any]]:
        """Each with its `key`. A damaged file counts as empty, since everything in it can be opened again."""
        try:
            entries = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return (
            [each for each in entries if isinstance(each, dict) and "key" in each] if isinstance(entries, list) else []
        )

    def add(self, value: dict[str, Any]) -> str:
        """The key of the value, which is the same each time."""
        key = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as lock:
            wait_for_lock(lock)
            others = [each for each in self.entries() if each["key"] != key]
            write_json(self.path, [{"key": key, **value}, *others][:MAX_REMEMBERED])
        return key

    def get(self, key: str) -> dict[str, Any]:
        """
        Raises:
            RunError: nothing of that key.
        """
        for each in self.entries():
            if each["key"] == key:
                return each
        raise RunError(f"{key}: not opened on this board; open it again")
