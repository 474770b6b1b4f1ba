"""`--set KEY=VALUE`: values laid over those of a run file."""

from collections.abc import Iterable
from typing import Any

from texlens.config.yaml_file import parse_yaml
from texlens.core.errors import ConfigError

EXCLUSIVE = {"train.steps": "train.epochs", "train.epochs": "train.steps"}
"""Settings of which one alone can be set: `--set` of one takes the other of the file away."""


Change = tuple[str, Any]
"""A dotted key and its value."""


def lay_over(values: dict, changes: Iterable[Change]) -> list[str]:
    """Lays changes over `values` (in place), the later ones over the earlier; returns the settings they took away.

    Example:
        {"train": {"epochs": 2}}, [("train.steps", 10)] -> {"train": {"steps": 10}}, ["train.epochs"]

    Raises:
        ConfigError: a branch of the key is a value.
    """
    removed = []
    for key, value in changes:
        *branches, leaf = key.split(".")
        parent = _branch(values, branches, key)
        parent[leaf] = value
        other = EXCLUSIVE.get(key)
        if other and value is not None and parent.pop(other.rpartition(".")[2], None) is not None:
            removed.append(other)
    return removed


def leaves(tree: Any, prefix: str = "") -> list[Change]:
    """Every value of a tree with its dotted key."""
    changes: list[Change] = []
    for name, part in tree.items():
        is_branch = isinstance(part, dict) and part
        changes += leaves(part, f"{prefix}{name}.") if is_branch else [(f"{prefix}{name}", part)]
    return changes


def parse_override(override: str) -> Change:
    """
    Example:
        "train.epochs=2" -> ("train.epochs", 2)

    Raises:
        ConfigError: not written as key=value.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: write it as key=value, such as train.epochs=2")
    return key.strip(), _value(text) if text else None


def _value(text: str) -> Any:
    """As YAML; text that is no scalar, `[…]` or `{…}`, such as a prompt with a colon in it, is taken as it is."""
    try:
        value = parse_yaml(text, "--set")
    except ConfigError:
        return text
    is_block = isinstance(value, dict | list) and not text.lstrip().startswith(("{", "["))
    return text if is_block else value


def _branch(values: dict, branches: list[str], key: str) -> dict:
    for number, name in enumerate(branches):
        if values.get(name) is None:
            values[name] = {}
        values = values[name]
        if not isinstance(values, dict):
            raise ConfigError(f"--set {key}: {'.'.join(branches[: number + 1])} is a value, not a branch")
    return values
