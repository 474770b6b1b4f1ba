"""What a board works on: the folder of runs, and the token that changes need."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import HTTPConnection

from texlens.core.errors import ConfigError, RunError
from texlens.core.run_folder import MANIFEST, RunFolder, list_runs

STATE_FOLDER = ".board"
"""Below the folder of runs: what boards keep (processes that they started, edits, corrections). Never inside a run."""


@dataclass(frozen=True)
class Workspace:
    """`folder` holds run folders. `read_token`: reading needs the token too, as beyond loopback."""

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    read_token: bool = False

    @property
    def state(self) -> Path:
        """The folder of what boards keep; two boards on one folder share it."""
        return self.folder / STATE_FOLDER

    @property
    def cookie(self) -> str:
        """Cookies are shared by all ports of a host, so each board has a name of its own."""
        return f"texlens-{hashlib.sha256(self.token.encode()).hexdigest()[:8]}"

    def is_token(self, value: str | None) -> bool:
        return value is not None and hmac.compare_digest(value.encode(), self.token.encode())

    def has_token(self, request: HTTPConnection) -> bool:
        """Whether the request's cookie or its `token` in the URL is the board's."""
        return self.is_token(request.cookies.get(self.cookie)) or self.is_token(request.query_params.get("token"))

    def runs(self) -> list[RunFolder]:
        """Newest last."""
        return list_runs(self.folder)

    def run(self, name: str) -> RunFolder:
        """
        Raises:
            RunError: no run of that name; names are compared, so none can lead out of the folder.
        """
        for run in self.runs():
            if run.path.name == name:
                return run
        raise RunError(f"{name}: no such run in {self.folder}; the page of runs lists them")


def open_workspace(folder: Path, *, read_token: bool = False) -> Workspace:
    """
    Raises:
        ConfigError: a file, or a run folder itself.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: not a folder; name the folder that holds run folders")
    if (folder / MANIFEST).is_file():
        raise ConfigError(f"{folder}: a run folder; name the folder that holds it: texlens board {folder.parent}")
    return Workspace(folder.absolute(), read_token=read_token)
