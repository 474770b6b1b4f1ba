"""What is wrong with a run file, in one line: the key, the value, and the nearest key where one is unknown."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from texlens.config.base import key_of
from texlens.config.run import RunConfig
from texlens.core.errors import one_line

_UNION_PARTS = re.compile(
    r"formula|photo|lora|moe-lora|full|constrained-float|constrained-int|float|str|literal\[.*\]|[A-Z]\w+Settings"
)
"""What pydantic puts into a key's path for the member of a union; no key of ours has such a name."""


def explain(error: ValidationError) -> str:
    """The first problem in one line, and how many more there are."""
    problems = _likely(error.errors(include_url=False))
    line = one_line(_explain_one(problems[0]))
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more)"


def _likely(problems: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The problems without those of union members that were not meant: a word where a mapping is, and the reverse."""
    meant = [
        problem
        for problem in problems
        if not (problem["type"] == "literal_error" and isinstance(problem["input"], dict))
        and not (problem["type"] == "model_type" and isinstance(problem["input"], str))
    ]
    return meant or list(problems)


def _explain_one(problem: Mapping[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    path = [part for part in location if not _UNION_PARTS.fullmatch(part)]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_nearest(path, location)}"
    if problem["type"] == "missing":
        return f"'{key}' is missing; add it, or give --set {key}=…"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem.get("input")
    shown = f" (got {value!r})" if isinstance(value, str | int | float | bool) and "got" not in message else ""
    return f"'{key}': {message[0].lower()}{message[1:]}{shown}" if key else message


def _nearest(path: list[str], location: list[str]) -> str:
    known = _keys_of(path[:-1], location)
    everywhere = {f"{prefix}{name}": name for prefix, name in _all_keys(RunConfig)}
    near = difflib.get_close_matches(path[-1], known, 1, 0.6)
    if near:
        return f"; did you mean '{'.'.join([*path[:-1], near[0]])}'?"
    elsewhere = sorted((full for full, name in everywhere.items() if name == path[-1]), key=_of_a_group)
    if elsewhere:
        return f"; did you mean '{elsewhere[0]}'?"
    return f"; known keys here: {', '.join(sorted(known))}"


def _of_a_group(key: str) -> bool:
    """Whether it is a setting of one module group, which is rarely meant where the run has one of that name."""
    return key.startswith("adapter.")


def _keys_of(path: list[str], location: list[str]) -> list[str]:
    """Keys of the branch at `path`; `location` says which member of a union was read (`adapter`, `moe-lora`, …)."""
    branches: list[type[BaseModel]] = [RunConfig]
    for name in path:
        field = branches[0].model_fields.get(name)
        branches = _branches_of(field.annotation) if field else []
        if not branches:
            return []
        branches.sort(key=lambda branch: _tag(branch) not in location)
    return [key_of(name, branches[0]) for name in branches[0].model_fields]


def _tag(branch: type[BaseModel]) -> str:
    """What pydantic calls this member of a union: its `kind`, or its own name."""
    kind = branch.model_fields.get("kind")
    return str(get_args(kind.annotation)[0]) if kind else branch.__name__


def _branches_of(annotation: Any) -> list[type[BaseModel]]:
    candidates = [annotation, *get_args(annotation)]
    return [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]


def _all_keys(branch: type[BaseModel], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, field in branch.model_fields.items():
        yield prefix, key_of(name, branch)
        for inner in _branches_of(field.annotation):
            yield from _all_keys(inner, f"{prefix}{name}.")
