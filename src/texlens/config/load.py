"""Run files: read YAML, lay `--set key=value` over it, validate, and say which key is wrong and what is near it."""

import copy
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError

_UNION_PARTS = re.compile(
    r"formula|photo|lora|moe-lora|full|constrained-float|constrained-int|float|str|literal\[.*\]|[A-Z]\w+Settings"
)
"""What pydantic puts into a key's path for the member of a union; no key of ours has such a name."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, where YAML would silently keep the last."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise ConfigError(f"{self.name} line {key_node.start_mark.line + 1}: '{key}' is set twice; keep one")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_config(path: Path, overrides: Iterable[str] = ()) -> RunConfig:
    """The run file at `path` with overrides such as `train.epochs=2` laid over it.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or an impossible value; one line that names the key.
    """
    return build_config(_read_yaml(path), where=str(path), overrides=overrides)


def build_config(values: Mapping[str, Any], where: str = "config", overrides: Iterable[str] = ()) -> RunConfig:
    """The config of values that may stand in no file, with overrides laid over them."""
    laid = copy.deepcopy(dict(values))
    for override in overrides:
        _set(laid, override)
    try:
        return RunConfig.model_validate(laid)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error)}") from None


def dump_config(config: RunConfig) -> str:
    """The whole tree as YAML, defaults included, so that a run folder says all that decided it."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such run file; recipes/ holds complete ones to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read as UTF-8 text ({error})") from None
    loader = _StrictLoader(text)
    loader.name = str(path)
    try:
        values = loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: not valid YAML ({getattr(error, 'problem', error)})") from None
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a run file is a mapping that begins with 'model:' and 'data:'")
    return values


def _set(values: dict, override: str) -> None:
    key, found, text = override.partition("=")
    if not found or not key.strip():
        raise ConfigError(f"--set {override!r}: write it as key=value, such as train.epochs=2")
    try:
        value = yaml.safe_load(text) if text else None
    except yaml.YAMLError:
        value = text
    *branches, leaf = key.strip().split(".")
    for number, branch in enumerate(branches):
        if values.get(branch) is None:
            values[branch] = {}
        values = values[branch]
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override!r}: {'.'.join(branches[: number + 1])} is a value, not a branch")
    values[leaf] = value


def _explain(error: ValidationError) -> str:
    """The first problem in one line, and how many more there are."""
    problems = _likely(error.errors(include_url=False))
    line = _explain_one(problems[0])
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more)"


def _likely(problems: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the members of a union that were not meant: a word where a mapping was given, and the reverse."""
    meant = [
        problem
        for problem in problems
        if not (problem["type"] == "literal_error" and isinstance(problem["input"], dict))
        and not (problem["type"] == "model_type" and isinstance(problem["input"], str))
    ]
    return meant or list(problems)


def _explain_one(problem: Mapping[str, Any]) -> str:
    place = [str(part) for part in problem["loc"]]
    path = [part for part in place if not _UNION_PARTS.fullmatch(part)]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_nearest(path, place)}"
    if problem["type"] == "missing":
        return f"'{key}' is missing; add it, or give --set {key}=…"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) and "got" not in message else ""
    return f"'{key}': {message[0].lower()}{message[1:]}{shown}" if key else message


def _nearest(path: list[str], place: list[str]) -> str:
    known = _keys_of(path[:-1], place)
    everywhere = {f"{prefix}{name}": name for prefix, name in _all_keys(RunConfig)}
    near = difflib.get_close_matches(path[-1], known, 1, 0.6)
    if near:
        return f"; did you mean '{'.'.join([*path[:-1], near[0]])}'?"
    elsewhere = sorted((full for full, name in everywhere.items() if name == path[-1]), key=_of_a_group)
    if elsewhere:
        return f"; did you mean '{elsewhere[0]}'?"
    return f"; known keys here: {', '.join(sorted(known))}"


def _of_a_group(key: str) -> bool:
    """A module group's own setting, which is rarely what is meant where the run has one of that name."""
    return key.startswith("adapter.")


def _keys_of(path: list[str], place: list[str]) -> list[str]:
    """Keys of the branch at `path`; `place` says which member of a union was read (`adapter`, `moe-lora`, …)."""
    branches: list[type[BaseModel]] = [RunConfig]
    for name in path:
        field = branches[0].model_fields.get(name)
        branches = _branches_of(field.annotation) if field else []
        if not branches:
            return []
        branches.sort(key=lambda branch: _tag(branch) not in place)
    return list(branches[0].model_fields)


def _tag(branch: type[BaseModel]) -> str:
    """What pydantic calls this member of a union: its `kind`, or its own name."""
    kind = branch.model_fields.get("kind")
    return str(get_args(kind.annotation)[0]) if kind else branch.__name__


def _branches_of(annotation: Any) -> list[type[BaseModel]]:
    candidates = [annotation, *get_args(annotation)]
    return [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]


def _all_keys(branch: type[BaseModel], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, field in branch.model_fields.items():
        yield prefix, name
        for inner in _branches_of(field.annotation):
            yield from _all_keys(inner, f"{prefix}{name}.")
