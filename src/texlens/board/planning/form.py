"""Settings as the form has them: dotted keys with values written as YAML, as `--set` takes them."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from texlens.board.workspace import Workspace
from texlens.config.load import build_config, load_saved_config
from texlens.config.overrides import EXCLUSIVE, lay_over, leaves, parse_override
from texlens.config.recipes import recipe_named
from texlens.config.run import RunConfig
from texlens.config.yaml_file import read_yaml
from texlens.core.errors import ConfigError, RunError


def tree_of(overrides: Iterable[str]) -> dict[str, Any]:
    """
    Example:
        ["model.path=nano", "train.steps=10"] -> {"model": {"path": "nano"}, "train": {"steps": 10}}

    Raises:
        ConfigError: no key=value; or two settings of which a run file may have one.
    """
    tree: dict[str, Any] = {}
    for key, value in map(parse_override, overrides):
        if removed := lay_over(tree, [(key, value)]):
            raise ConfigError(f"{key} and {removed[0]} are both set; keep one of the two")
    return tree


def config_of_tree(tree: dict[str, Any]) -> RunConfig:
    """
    Raises:
        ConfigError: an unknown key or an impossible value, in one line.
    """
    return build_config(copy.deepcopy(tree), where="settings")


def run_file(tree: dict[str, Any]) -> str:
    """What the form has set, as a run file."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def starting_point(source: str, workspace: Workspace) -> list[tuple[str, Any]]:
    """The settings that a recipe or an earlier run has set: dotted keys and values.

    Args:
        source: `recipe:NAME` or `run:NAME`.

    Raises:
        ConfigError, RunError: no such recipe or run.
    """
    kind, _, name = source.partition(":")
    if kind == "recipe":
        return leaves(read_yaml(recipe_named(name).path))
    if kind != "run":
        raise ConfigError(f"{source[:60]}: neither a recipe nor a run")
    return changed_settings(load_saved_config(_config_file(workspace, name)))


def changed_settings(config: RunConfig) -> list[tuple[str, Any]]:
    """Settings that differ from the defaults, so that a form shows what was chosen and not everything."""
    values = config.model_dump(mode="json", exclude_unset=False)
    defaults = dict(_leaves_of_defaults(config))
    keys = [(key, value) for key, value in leaves(values) if defaults.get(key, _ABSENT) != value]
    return [(key, value) for key, value in keys if value is not None and key not in _IMPLIED]


_ABSENT = object()
_IMPLIED = ("schema_version", "output")


def _leaves_of_defaults(config: RunConfig) -> list[tuple[str, Any]]:
    """Of a run of the same adapter kind with nothing else set."""
    length = "steps" if config.train.steps else "epochs"
    values = {"model": {"path": ""}, "data": {"path": ""}, "adapter": {"kind": config.adapter.kind}}
    default = build_config({**values, "train": {length: 1}}).model_dump(mode="json")
    return [(key, value) for key, value in leaves(default) if key not in ("adapter.kind", *EXCLUSIVE)]


def compared_settings(left: str, right: str, workspace: Workspace) -> list[dict[str, Any]]:
    """Every setting with another value, defaults included.

    Raises:
        ConfigError, RunError: no such recipe or run.
    """
    first, second = (dict(leaves(_complete(name, workspace).model_dump(mode="json"))) for name in (left, right))
    keys = list(dict.fromkeys([*first, *second]))
    return [
        {"key": key, "left": first.get(key), "right": second.get(key)}
        for key in keys
        if first.get(key) != second.get(key)
    ]


def _complete(source: str, workspace: Workspace) -> RunConfig:
    kind, _, name = source.partition(":")
    if kind == "run":
        return load_saved_config(_config_file(workspace, name))
    tree: dict[str, Any] = {}
    lay_over(tree, starting_point(source, workspace))
    return build_config(tree, where=name)


def _config_file(workspace: Workspace, name: str) -> Path:
    run = workspace.run(name)
    if not run.config.is_file():
        raise RunError(f"{name}: no settings in this run (no config.yaml)")
    return run.config
