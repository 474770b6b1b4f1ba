"""docs/reference/configuration.md names every key of a run file, and no other."""

import re
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from texlens.config.base import key_of
from texlens.config.run import RunConfig

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"


def keys(branch: type[BaseModel], prefix: str = "") -> set[str]:
    names = set()
    for name, field in branch.model_fields.items():
        names.add(prefix + key_of(name, branch))
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                names |= keys(part, f"{prefix}{name}.")
    return names


def documented() -> set[str]:
    rows = re.findall(r"^\| (`[^|]+`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)}


def test_every_key_is_documented_itself_or_with_its_branch():
    known, output = keys(RunConfig), documented()
    leaves = {key for key in known if not any(other.startswith(f"{key}.") for other in known)}
    missing = {key for key in leaves if not any(key == name or key.startswith(f"{name}.") for name in output)}
    assert sorted(missing) == []


def test_no_documented_key_is_unknown():
    assert sorted(documented() - keys(RunConfig)) == []
