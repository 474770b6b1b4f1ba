"""Run files: read YAML, rename old keys, lay `--set key=value` over it, validate."""

import contextlib
import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from texlens.config.aliases import apply_aliases, renaming_note
from texlens.config.explain import explain
from texlens.config.overrides import Change, lay_over, leaves, parse_override
from texlens.config.recipes import find_run_file
from texlens.config.run import SCHEMA_VERSION, RunConfig
from texlens.config.yaml_file import read_yaml
from texlens.core.errors import ConfigError
from texlens.core.notes import print_note

BUILT_IN = ("demo", "nano")


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """The run file at `path`, or the recipe of that name, with overrides such as `train.epochs=2` laid over it.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or an impossible value; one line that names the key.
    """
    file = find_run_file(path)
    return with_absolute_paths(build_config(read_yaml(file), where=str(path), overrides=overrides))


def load_saved_config(path: Path, overrides: Iterable[str] = ()) -> RunConfig:
    """The config.yaml of a run folder, of this version or an older one, with overrides laid over it.

    Old names in it are renamed without a note, because the file is the program's own. `model.trust_remote_code` of
    the file counts as false: only this call's overrides may allow a checkpoint to run code.

    Raises:
        ConfigError: as `load_config`; or the folder was written by a newer TexLens.
    """
    values = read_yaml(path)
    apply_aliases(values, RunConfig, str(path))
    if isinstance(values.get("model"), dict):
        values["model"].pop("trust_remote_code", None)
    _resolve_from(values, _written_from(path, values.get("output")))
    return with_absolute_paths(build_config(values, where=str(path), overrides=overrides))


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """Local files and folders of `data.path` and `model.path` by absolute paths, so that a run finds them from any
    folder; names of hubs, `demo` and `nano`, and paths that do not exist, stay as they are."""
    data = config.data.model_copy(update={"path": _absolute(config.data.path)})
    model = config.model.model_copy(update={"path": _absolute(config.model.path)})
    return config.model_copy(update={"data": data, "model": model})


def _written_from(file: Path, output: Any) -> Path | None:
    """The folder in which a run with a relative `output` was started, from where its folder is now.

    Example:
        /home/me/runs/nano/config.yaml, "runs" -> /home/me
    """
    parts = Path(output).parts if isinstance(output, str) else ()
    runs = file.absolute().parent.parent
    is_below = parts and not Path(output).is_absolute() and runs.parts[-len(parts) :] == parts
    return Path(*runs.parts[: -len(parts)]) if is_below else None


def _resolve_from(values: dict[str, Any], root: Path | None) -> None:
    """Relative paths of version 0.1 and of moved folders, where they exist below `root`."""
    for branch in ("data", "model"):
        part = values.get(branch)
        if root is None or not isinstance(part, dict):
            continue
        path = part.get("path")
        if not isinstance(path, str) or path in BUILT_IN or Path(path).is_absolute():
            continue
        with contextlib.suppress(OSError, ValueError):
            if (root / path).exists():
                part["path"] = str(root / path)


def _absolute(path: str) -> str:
    if path in BUILT_IN:
        return path
    local = Path(path).expanduser()
    try:
        return str(local.absolute()) if local.exists() else path
    except (OSError, ValueError):  # no name that a file can have
        return path


def build_config(values: Mapping[str, Any], where: str = "config", overrides: Iterable[str] = ()) -> RunConfig:
    """The config of a mapping, with overrides laid over it.

    Raises:
        ConfigError: an unknown key, an impossible value, or a newer schema version.
    """
    merged = copy.deepcopy(dict(values))
    _check_version(merged, where)
    if used := apply_aliases(merged, RunConfig, where):
        print_note(renaming_note(used, where))
    for key in lay_over(merged, _renamed(map(parse_override, overrides))):
        print_note(f"--set: {key} of {where} is replaced")
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error)}") from None


def dump_config(config: RunConfig) -> str:
    """The complete tree as YAML, defaults included, so that a run folder records all that decided it."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _renamed(changes: Iterable[Change]) -> list[Change]:
    """Changes with old keys replaced by their new names."""
    renamed: list[Change] = []
    used: list[str] = []
    for key, value in changes:
        tree: dict = {}
        lay_over(tree, [(key, value)])
        old = apply_aliases(tree, RunConfig, "--set")
        renamed += leaves(tree) if old else [(key, value)]
        used += old
    if used:
        print_note(renaming_note(used, "--set"))
    return renamed


def _check_version(values: dict[str, Any], where: str) -> None:
    """Old versions are brought up to this one by the aliases."""
    version = values.get("schema_version", SCHEMA_VERSION)
    if version == 1:
        values["schema_version"] = SCHEMA_VERSION
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConfigError(
            f"{where}: written by a newer TexLens (schema {version}, this one reads {SCHEMA_VERSION}); upgrade texlens"
        )
