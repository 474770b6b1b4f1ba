"""The two hubs behind one protocol: files of a repository, how much is missing locally, and the transfer."""

import importlib.util
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from texlens.core.errors import ModelError

ABANDONED_AFTER_S = 3600
"""A partial file that was not written to for so long belongs to no running download."""


class UnreachableError(ModelError):
    """The hub did not answer (no network, offline mode, an error of the hub); a local copy may be used."""


class Hub(Protocol):
    """Model repositories behind an API. Methods raise `ModelError`, or `UnreachableError` without an answer."""

    name: str

    def installed(self) -> bool: ...

    def files(self, model_id: str, revision: str | None) -> dict[str, int]:
        """The repository's files with their sizes in bytes."""
        ...

    def missing_bytes(self, model_id: str, revision: str | None, files: Mapping[str, int], target: Path | None) -> int:
        """How much of `files` is not local yet."""
        ...

    def fetch(self, model_id: str, revision: str | None, names: Sequence[str], target: Path | None) -> Path:
        """Download the missing ones of the named files; returns their folder."""
        ...

    def cached(self, model_id: str, revision: str | None) -> Path | None:
        """The folder of an earlier download in the client's own cache, complete or not; uses no network."""
        ...

    def cache_folder(self) -> Path: ...


class HuggingFace:
    """huggingface_hub; reads HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE."""

    name = "huggingface"

    def installed(self) -> bool:
        return True

    def files(self, model_id: str, revision: str | None) -> dict[str, int]:
        from huggingface_hub import HfApi

        with _translated(self.name, model_id, revision, "HF_TOKEN"):
            info = HfApi().model_info(model_id, revision=revision, files_metadata=True)
        return {file.rfilename: file.size or 0 for file in info.siblings or []}

    def missing_bytes(self, model_id: str, revision: str | None, files: Mapping[str, int], target: Path | None) -> int:
        from huggingface_hub import try_to_load_from_cache

        if target is not None:
            return _missing_bytes(files, target)
        cached = {name: try_to_load_from_cache(model_id, name, revision=revision) for name in files}
        return sum(size for name, size in files.items() if not isinstance(cached[name], str))

    def fetch(self, model_id: str, revision: str | None, names: Sequence[str], target: Path | None) -> Path:
        from huggingface_hub import snapshot_download

        if target is not None:
            _clear_abandoned(target / ".cache/huggingface/download")
        with _translated(self.name, model_id, revision, "HF_TOKEN"):
            return Path(snapshot_download(model_id, revision=revision, local_dir=target, allow_patterns=list(names)))

    def cached(self, model_id: str, revision: str | None) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(model_id, "config.json", revision=revision)
        return Path(config).parent if isinstance(config, str) else None

    def cache_folder(self) -> Path:
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)


class ModelScope:
    """modelscope, an optional package; reads MODELSCOPE_ENDPOINT, MODELSCOPE_API_TOKEN, MODELSCOPE_CACHE."""

    name = "modelscope"

    def installed(self) -> bool:
        return importlib.util.find_spec("modelscope") is not None

    def files(self, model_id: str, revision: str | None) -> dict[str, int]:
        with _translated(self.name, model_id, revision, "MODELSCOPE_API_TOKEN"):
            from modelscope.hub.api import HubApi

            named = {} if revision is None else {"revision": revision}
            listed = HubApi().get_model_files(model_id, recursive=True, **named)
        return {file["Path"]: int(file.get("Size") or 0) for file in listed if file.get("Type") != "tree"}

    def missing_bytes(self, model_id: str, revision: str | None, files: Mapping[str, int], target: Path | None) -> int:
        local = target or self.cached(model_id, revision)
        return sum(files.values()) if local is None else _missing_bytes(files, local)

    def fetch(self, model_id: str, revision: str | None, names: Sequence[str], target: Path | None) -> Path:
        with _translated(self.name, model_id, revision, "MODELSCOPE_API_TOKEN"):
            return self._download(model_id, revision, target, allow_patterns=list(names))

    def cached(self, model_id: str, revision: str | None) -> Path | None:
        try:
            with _translated(self.name, model_id, revision, "MODELSCOPE_API_TOKEN"):
                return self._download(model_id, revision, None, local_files_only=True)
        except ModelError:
            return None

    def cache_folder(self) -> Path:
        return Path(os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache/modelscope")

    @staticmethod
    def _download(model_id: str, revision: str | None, target: Path | None, **options: Any) -> Path:
        from modelscope import snapshot_download

        local = None if target is None else str(target)
        return Path(snapshot_download(model_id, revision=revision, local_dir=local, **options))


def is_hub_id(text: str) -> bool:
    """Whether it is written as owner/name."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", text) is not None


@contextmanager
def _translated(hub: str, model_id: str, revision: str | None, token: str) -> Iterator[None]:
    """Turns errors of a hub's client into one line with the remedy."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        where = f"{model_id} ({hub})"
        status, kinds = _status(error), {cls.__name__ for cls in type(error).__mro__}
        if "GatedRepoError" in kinds:
            raise ModelError(
                f"{where}: access is granted on request; request it on the model's page, then set {token}"
            ) from error
        if "RevisionNotFoundError" in kinds:
            raise ModelError(f"{where}: no revision {revision!r}; check model.revision") from error
        if "RepositoryNotFoundError" in kinds or "NotExistError" in kinds or status in (401, 403, 404):
            code = f" ({status})" if status else ""
            raise ModelError(
                f"{where}: no such repository, or no access to it{code}; check the id, or set {token}"
            ) from error
        if isinstance(error, OSError) and error.errno is not None and status is None:
            raise ModelError(f"{where}: {error.strerror or error}; fix it and run again") from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreachableError(f"{hub} did not answer completely ({reason})") from error


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return getattr(error, "status_code", None) or getattr(response, "status_code", None)


def _missing_bytes(files: Mapping[str, int], folder: Path) -> int:
    def is_complete(name: str, size: int) -> bool:
        return (folder / name).is_file() and (folder / name).stat().st_size == size

    return sum(size for name, size in files.items() if not is_complete(name, size))


def _clear_abandoned(folder: Path) -> None:
    """Delete partial files of killed downloads; huggingface_hub 2 does not resume them."""
    for path in folder.glob("*.incomplete"):
        if time.time() - path.stat().st_mtime > ABANDONED_AFTER_S:
            path.unlink(missing_ok=True)
