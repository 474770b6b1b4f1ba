"""Run files: read YAML, lay `--set key=value` over it, validate, and say which key is wrong and what is near it."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError

_UNION_PARTS = {"lora", "constrained-float", "float", "str"}
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
    values = _read_yaml(path)
    for override in overrides:
        _set(values, override)
    return build_config(values, where=str(path))


def build_config(values: Mapping[str, Any], where: str = "config") -> RunConfig:
    try:
        return RunConfig.model_validate(values)
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
    problems = error.errors(include_url=False)
    line = _explain_one(problems[0])
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more)"


def _explain_one(problem: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"] if part not in _UNION_PARTS]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_nearest(path)}"
    if problem["type"] == "missing":
        return f"'{key}' is missing; add it, or give --set {key}=…"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) and "got" not in message else ""
    return f"'{key}': {message[0].lower()}{message[1:]}{shown}" if key else message


def _nearest(path: list[str]) -> str:
    known = _keys_of(path[:-1])
    everywhere = {f"{prefix}{name}": name for prefix, name in _all_keys(RunConfig)}
    near = difflib.get_close_matches(path[-1], known, 1, 0.6)
    if near:
        return f"; did you mean '{'.'.join([*path[:-1], near[0]])}'?"
    elsewhere = [full for full, name in everywhere.items() if name == path[-1]]
    if elsewhere:
        return f"; did you mean '{elsewhere[0]}'?"
    return f"; known keys here: {', '.join(sorted(known))}"


def _keys_of(path: list[str]) -> list[str]:
    branch: type[BaseModel] = RunConfig
    for name in path:
        field = branch.model_fields.get(name)
        inner = _branch_of(field.annotation) if field else None
        if inner is None:
            return []
        branch = inner
    return list(branch.model_fields)


def _branch_of(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *get_args(annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _all_keys(branch: type[BaseModel], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, field in branch.model_fields.items():
        yield prefix, name
        inner = _branch_of(field.annotation)
        if inner:
            yield from _all_keys(inner, f"{prefix}{name}.")
