"""Data sets that were opened on the page, with their edits file and what validation found."""

import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from texlens.board.last_used import LastUsed
from texlens.board.remembered import Remembered
from texlens.board.workspace import Workspace
from texlens.config.load import load_saved_config
from texlens.core.errors import TexlensError, one_line
from texlens.data.browse.browser import DataBrowser
from texlens.data.browse.problems import Problems
from texlens.data.edits.log import EditLog
from texlens.data.load import Rows, load_split
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.registry import list_splits

_UNSAFE = re.compile(r"[^\w.-]+")
MAX_OPEN = 4


@dataclass
class Checking:
    """A validation in the background: rows done of `rows`; `error` where it failed."""

    rows: int
    done: int = 0
    error: str = ""
    is_running: bool = True


@dataclass
class OpenedData:
    """A data set; `edits` is its file below the board's folder."""

    path: str
    subset: str | None
    edits: Path
    checking: Checking | None = None
    _browser: DataBrowser | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def browser(self) -> DataBrowser:
        """Its rows, which the first call reads.

        Raises:
            DataError: nothing readable there.
        """
        with self._lock:
            if self._browser is None:
                names = list_splits(self.path, "auto", ReadOptions(self.subset))
                splits = {name: load_split(self.path, split=name, subset=self.subset) for name in names}
                self._browser = DataBrowser(splits, EditLog(self.edits))
            return self._browser

    def check(self) -> Checking:
        """Begins to validate the rows, once."""
        with self._lock:
            if self.checking is None or (not self.checking.is_running and self.checking.error):
                self.checking = Checking(sum(map(len, self.browser.splits.values())))
                threading.Thread(target=self._check, args=(self.checking,), daemon=True).start()
            return self.checking

    def _check(self, checking: Checking) -> None:
        def advance(count: int) -> None:
            checking.done += count

        try:
            self.browser.problems = validated(self.browser.splits, advance)
        except TexlensError as error:
            checking.error = one_line(error)
        finally:
            checking.is_running = False


def validated(splits: Mapping[str, Rows], on_progress) -> Problems:
    """Findings with the limits of Qwen3-VL, as `texlens data validate` has them by default."""
    from texlens.data.validate.run import Options, validate
    from texlens.models.families import SPECIAL_TOKENS, family_from_option
    from texlens.models.preprocessor import geometry_of

    geometry = geometry_of({"model_type": family_from_option("qwen3-vl").model_type})
    options = Options(geometry, special_tokens=SPECIAL_TOKENS)
    return Problems.of(validate(splits, options, on_progress=on_progress))


class OpenedDataSets:
    """By key; the last few are held open."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._remembered = Remembered(workspace.state / "data.json")
        self._open: LastUsed[str, OpenedData] = LastUsed(MAX_OPEN)

    def open(self, path: str, subset: str | None) -> str:
        """The key of a data set that can be read; its rows are read again, as they may have changed.

        Raises:
            DataError: nothing readable there.
        """
        local = Path(path).expanduser()
        value = {"path": str(local.absolute()) if path != "demo" and local.exists() else path, "subset": subset or None}
        data = self._data(value)
        _ = data.browser
        key = self._remembered.add(value)
        self._open.put(key, data)
        return key

    def get(self, key: str) -> OpenedData:
        """
        Raises:
            RunError: not opened before.
            DataError: it is gone.
        """
        return self._open.get(key, lambda: self._known_data(key))

    def known(self) -> list[dict[str, Any]]:
        """What was opened before, then data sets of the folder's runs and the demo's, which have no key yet."""
        known = [
            {"key": e["key"], "path": e.get("path"), "subset": e.get("subset")} for e in self._remembered.entries()
        ]
        places = {(entry["path"], entry["subset"]) for entry in known}
        for path, subset in [*self._of_runs(), ("demo", None)]:
            if (path, subset) not in places:
                places.add((path, subset))
                known.append({"key": None, "path": path, "subset": subset})
        return known

    def _of_runs(self) -> list[tuple[str, str | None]]:
        places = []
        for run in self._workspace.runs():
            try:
                data = load_saved_config(run.config).data
            except (TexlensError, OSError):
                continue
            places.append((data.path, data.subset))
        return places

    def _known_data(self, key: str) -> OpenedData:
        value = self._remembered.get(key)
        return self._data({"path": value.get("path", ""), "subset": value.get("subset")})

    def _data(self, value: dict[str, Any]) -> OpenedData:
        name = "-".join(filter(None, (Path(value["path"]).name, value["subset"])))
        digest = hashlib.sha256(f"{value['path']}\0{value['subset']}".encode()).hexdigest()[:8]
        file = f"{_UNSAFE.sub('_', name)[:60]}-{digest}.jsonl"
        return OpenedData(value["path"], value["subset"], self._workspace.state / "edits" / file)
