"""Uploading a folder through the hubs' own clients. Tokens are read from the environment (or `.env`) by them, or given
to them for this call, and never written.

To add a hub, write a class with `name`, `installed` and `upload`, and name it in `UPLOADERS`.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from texlens.core.errors import ConfigError, ExportError, one_line

MESSAGE = "Upload with TexLens"


class Uploader(Protocol):
    name: str

    def installed(self) -> bool: ...

    def upload(self, folder: Path, names: Sequence[str], hub_id: str, *, private: bool) -> str:
        """Uploads the named files in one commit, into a repository that is created where it is missing; returns its
        address.

        Raises:
            ExportError: no token, no right to write there, or no answer.
        """
        ...


class HuggingFaceUploader:
    """huggingface_hub; reads HF_TOKEN and HF_ENDPOINT."""

    name = "huggingface"

    def installed(self) -> bool:
        return True

    def upload(self, folder: Path, names: Sequence[str], hub_id: str, *, private: bool) -> str:
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi(token=_token("HF_TOKEN", self.name))
        with explained(hub_id, self.name, "HF_TOKEN"):
            url = api.create_repo(hub_id, private=private, exist_ok=True)
            api.create_commit(
                hub_id,
                [CommitOperationAdd(name, folder / name) for name in names],
                commit_message=MESSAGE,
            )
        return str(url)


class ModelScopeUploader:
    """modelscope, an optional package; reads MODELSCOPE_API_TOKEN. What it prints goes to standard error."""

    name = "modelscope"

    def installed(self) -> bool:
        return importlib.util.find_spec("modelscope") is not None

    def upload(self, folder: Path, names: Sequence[str], hub_id: str, *, private: bool) -> str:
        from modelscope.hub.api import HubApi

        token = _token("MODELSCOPE_API_TOKEN", self.name)
        with explained(hub_id, self.name, "MODELSCOPE_API_TOKEN"), redirect_stdout(sys.stderr):
            api = HubApi(token=token)
            if not api.repo_exists(hub_id):
                api.create_repo(hub_id, visibility="private" if private else "public")
            api.upload_folder(
                repo_id=hub_id, folder_path=str(folder), allow_patterns=list(names), commit_message=MESSAGE, token=token
            )
        return f"https://modelscope.cn/models/{hub_id}"


UPLOADERS: Mapping[str, Callable[[], Uploader]] = {
    "huggingface": HuggingFaceUploader,
    "modelscope": ModelScopeUploader,
}


def find_uploader(source: str) -> Uploader:
    """
    Raises:
        ConfigError: an unknown hub, or its package is missing.
    """
    if source not in UPLOADERS:
        raise ConfigError(f"--source {source}: no such hub; choose {', '.join(UPLOADERS)}")
    uploader = UPLOADERS[source]()
    if not uploader.installed():
        raise ConfigError(f"--source {source} needs its package: pip install 'texlens[{source}]'")
    return uploader


def _token(name: str, hub: str) -> str:
    """
    Raises:
        ExportError: it is not set.
    """
    token = os.environ.get(name, "").strip()
    if not token:
        raise ExportError(f"{hub}: no token; set {name} in the environment or in .env to one that may write")
    return token


@contextmanager
def explained(hub_id: str, hub: str, token_name: str) -> Iterator[None]:
    """Turns errors of a hub's client into one line with the remedy, without the token in it."""
    try:
        yield
    except ExportError:
        raise
    except Exception as error:
        secret = os.environ.get(token_name, "")
        reason = one_line(error, 300).replace(secret, "…") if secret else one_line(error, 300)
        status = _status(error)
        remedy = f"check that {token_name} may write to {hub_id}" if status in (401, 403) else "run it again"
        if status == 404:
            remedy = "check the id"
        raise ExportError(f"{hub_id} ({hub}): not uploaded ({reason}); {remedy}") from error


def _status(error: Any) -> int | None:
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)
