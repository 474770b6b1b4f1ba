"""Fetching a checkpoint: a local folder, or a hub's repository after a check of free disk space.

Only the files that a model needs are downloaded (safetensors and text files of the top folder, never pickles). The
hubs' own clients do the transfer: an interrupted connection resumes within the file, a killed download at the missing
files; they have their own caches and read their environment (HF_ENDPOINT, HF_HUB_OFFLINE, MODELSCOPE_ENDPOINT, tokens).
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from texlens.core.errors import ConfigError, ModelError
from texlens.models.bundled import NANO_FOLDER
from texlens.models.checkpoint import CONFIG, check_checkpoint
from texlens.models.families import family_of
from texlens.models.hubs import Hub, HuggingFace, ModelScope, UnreachableError, is_hub_id
from texlens.models.metadata import METADATA_FILE

DOWNLOADED_SUFFIXES = (".safetensors", ".json", ".txt", ".jinja", ".model", ".tiktoken")
RECORD = ".texlens-download.json"
GIB = 1 << 30

HUBS: Mapping[str, Callable[[], Hub]] = {"huggingface": HuggingFace, "modelscope": ModelScope}
SOURCES = ("auto", *HUBS)


@dataclass(frozen=True)
class DownloadRecord:
    """A finished download in a folder that the user chose: where it came from, and the size of each file."""

    id: str
    source: str
    revision: str | None
    files: dict[str, int]


def fetch(
    path_or_id: str | Path,
    *,
    source: str = "auto",
    revision: str | None = None,
    to: str | Path | None = None,
    free_margin_gib: float = 1.0,
) -> Path:
    """The local folder of a checkpoint, downloaded if necessary.

    Args:
        path_or_id: `nano` (the bundled model), a folder, or a hub's id such as `Qwen/Qwen3-VL-4B-Instruct`.
        source: `huggingface`, `modelscope`, or `auto`: the first, or the second if the first can't be reached.
        revision: branch, tag or commit; the hub's default branch if None.
        to: the folder for the files; the hub client's own cache if None.
        free_margin_gib: disk space that must stay free.

    Raises:
        ModelError: no such folder or repository, no access, no safetensors, an unknown family, or too little disk.
        ConfigError: an unknown source.
    """
    if source not in SOURCES:
        raise ConfigError(f"model.source {source!r} is not known; use one of {', '.join(SOURCES)}")
    if str(path_or_id) == "nano":
        return _bundled()
    folder = Path(path_or_id).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_id(str(path_or_id)):
        raise ModelError(f"{path_or_id}: no such folder, and not a hub id (owner/name); check model.path")
    target = None if to is None else Path(to).expanduser()
    if target is not None and _is_downloaded(target, str(path_or_id), revision):
        return target
    return _from_hubs(str(path_or_id), source, revision, target, free_margin_gib)


def fetch_adapter(hub_id: str, *, source: str = "auto", names: Sequence[str] = ()) -> Path:
    """The local folder of an adapter in a hub's repository: the files `names`, which it must have, and texlens.json.

    Raises:
        ModelError: no such repository, no access, or no adapter in it.
    """
    failures = []
    for name in list(HUBS) if source == "auto" else [source]:
        hub = HUBS[name]()
        if not hub.installed():
            failures.append(f"{name} needs its package (pip install {name})")
            continue
        try:
            files = hub.files(hub_id, None)
        except UnreachableError as error:
            failures.append(str(error))
            continue
        if missing := [file for file in names if file not in files]:
            raise ModelError(f"{hub_id} ({hub.name}): no {missing[0]} in it, so not an adapter in safetensors")
        return hub.fetch(hub_id, None, [file for file in (*names, METADATA_FILE) if file in files], None)
    raise ModelError(f"{hub_id}: can't be downloaded: {'; '.join(failures)}; check the network, or name a local folder")


def needed_files(files: Mapping[str, int], where: str) -> dict[str, int]:
    """The files of a repository (name to bytes) that a model needs.

    Raises:
        ModelError: no config, or no safetensors file.
    """
    needed = {name: size for name, size in files.items() if "/" not in name and name.endswith(DOWNLOADED_SUFFIXES)}
    if CONFIG not in needed:
        raise ModelError(f"{where}: no {CONFIG} in the repository; is it a checkpoint?")
    if not any(name.endswith(".safetensors") for name in needed):
        raise ModelError(f"{where}: no safetensors in the repository, and pickled weights are refused; use another one")
    return needed


def check_disk(missing_bytes: int, folder: Path, where: str, free_margin_gib: float) -> None:
    """
    Raises:
        ModelError: `missing_bytes` and the margin don't fit on the folder's disk; both numbers are named.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if missing_bytes + free_margin_gib * GIB > free:
        raise ModelError(
            f"{where}: {missing_bytes / GIB:.1f} GiB to download (and {free_margin_gib:g} to stay free), but "
            f"{existing} has {free / GIB:.1f} GiB free; make room or name another disk with --to"
        )


def _from_hubs(model_id: str, source: str, revision: str | None, target: Path | None, margin_gib: float) -> Path:
    names = list(HUBS) if source == "auto" else [source]
    failures = []
    for name in names:
        hub = HUBS[name]()
        if not hub.installed():
            failures.append(f"{name} needs its package (pip install 'texlens[{name}]')")
            continue
        try:
            return _from_hub(hub, model_id, revision, target, margin_gib)
        except UnreachableError as error:
            local = hub.cached(model_id, revision) if target is None else None
            if local is not None and _is_complete(local):
                return local
            failures.append(str(error))
    raise ModelError(
        f"{model_id}: can't be downloaded: {'; '.join(failures)}; check the network, or name a local folder"
    )


def _from_hub(hub: Hub, model_id: str, revision: str | None, target: Path | None, margin_gib: float) -> Path:
    where = f"{model_id} ({hub.name})"
    files = needed_files(hub.files(model_id, revision), where)
    config = json.loads(hub.fetch(model_id, revision, [CONFIG], target).joinpath(CONFIG).read_text(encoding="utf-8"))
    family_of(config, f"{where}: {CONFIG}")
    missing = hub.missing_bytes(model_id, revision, files, target)
    check_disk(missing, target or hub.cache_folder(), where, margin_gib)
    folder = hub.fetch(model_id, revision, list(files), target)
    check_checkpoint(folder)
    if target is not None:
        record = DownloadRecord(model_id, hub.name, revision, files)
        (folder / RECORD).write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    return folder


def _is_downloaded(folder: Path, model_id: str, revision: str | None) -> bool:
    """Whether the folder contains this checkpoint completely.

    Raises:
        ModelError: it contains another one.
    """
    path = folder / RECORD
    if not path.is_file():
        return False
    record = DownloadRecord(**json.loads(path.read_text(encoding="utf-8")))
    if (record.id, record.revision) != (model_id, revision):
        raise ModelError(
            f"{folder}: contains {record.id} at {record.revision or 'its default revision'}; name another --to"
        )
    sizes = {name: (folder / name).stat().st_size if (folder / name).is_file() else -1 for name in record.files}
    return sizes == record.files and _is_complete(folder)


def _is_complete(folder: Path) -> bool:
    try:
        check_checkpoint(folder)
    except ModelError:
        return False
    return True


def _bundled() -> Path:
    if not (NANO_FOLDER / CONFIG).is_file():
        raise ModelError(f"{NANO_FOLDER}: the bundled model is missing; install texlens again")
    return NANO_FOLDER
