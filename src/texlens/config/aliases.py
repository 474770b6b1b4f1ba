"""Old names of settings that still work: each is moved to its new place, and named once."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from texlens.core.errors import ConfigError

RENAMED: Mapping[str, str] = {
    "data.question": "data.prompt",
    "data.system": "data.system_prompt",
    "data.check": "data.checks.images",
    "data.leaks": "data.checks.leaks",
    "data.augment.chance": "data.augment.probability",
    "data.augment.turn_degrees": "data.augment.rotate_degrees",
    "data.augment.thickness": "data.augment.stroke_width",
    "adapter.train_also": "adapter.modules_to_save",
    "base.quantise": "base.quantize",
    "base.quantise_vision": "base.quantize_vision",
    "base.double_quantise": "base.double_quantize",
    "train.accumulation": "train.gradient_accumulation",
    "train.engine": "train.compute.backend",
    "train.pack_tokens": "train.compute.pack_tokens",
    "train.recompute": "train.compute.recompute",
    "train.memory_gib": "train.compute.memory_gib",
    "train.compile": "train.compute.compile",
    "train.gradient_checkpointing": "train.compute.gradient_checkpointing",
    "train.watch.every_steps": "train.validation.every_steps",
    "train.watch.sample_rows": "train.validation.generation_rows",
    "train.watch.metrics": "train.validation.metrics",
    "train.watch.best_by": "train.validation.best_by",
    "train.watch.early_stopping_patience": "train.validation.early_stopping_patience",
    "train.watch.log_every_steps": "train.logging.every_steps",
    "train.watch.trackers": "train.logging.trackers",
    "evaluate.limit": "evaluate.max_rows",
}
"""Names of version 0.1 -> names of today. To rename a key, add its line here."""

_EMPTY_BRANCHES = ("train.watch",)
"""Branches that no longer exist: an empty one is dropped."""


def apply_aliases(values: dict, settings: type[BaseModel], where: str = "config") -> list[str]:
    """Moves old keys of `values` (in place) to their new names; returns the old names that were there.

    Example:
        {"evaluate": {"limit": 8}} -> {"evaluate": {"max_rows": 8}}, ["evaluate.limit"]

    Raises:
        ConfigError: a setting has both its old and its new name.
    """
    known = set(_paths(settings))
    used = []
    for old, new in RENAMED.items():
        if new not in known or old in known or not _has(values, old):
            continue
        if _has(values, new):
            raise ConfigError(f"{where}: '{old}' is the old name of '{new}' and both are set; remove '{old}'")
        _put(values, new, _take(values, old))
        used.append(old)
    for branch in _EMPTY_BRANCHES:
        if branch not in known and _get(values, branch) == {}:
            _take(values, branch)
    return used


def renaming_note(old_names: Iterable[str], where: str) -> str:
    """One line that names each old setting with its new name."""
    pairs = ", ".join(f"{old} -> {RENAMED[old]}" for old in old_names)
    return f"{where}: old names of settings still work but will be removed: {pairs}"


def _paths(settings: type[BaseModel], prefix: str = "") -> Iterable[str]:
    for name, field in settings.model_fields.items():
        yield prefix + name
        for part in _models_in(field.annotation):
            yield from _paths(part, f"{prefix}{name}.")


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _get(values: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(values, dict) or name not in values:
            return None
        values = values[name]
    return values


def _has(values: Any, path: str) -> bool:
    branch, _, leaf = path.rpartition(".")
    parent = _get(values, branch)
    return isinstance(parent, dict) and leaf in parent


def _take(values: dict, path: str) -> Any:
    branch, _, leaf = path.rpartition(".")
    return _get(values, branch).pop(leaf)


def _put(values: dict, path: str, value: Any) -> None:
    *branches, leaf = path.split(".")
    for name in branches:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    values[leaf] = value
