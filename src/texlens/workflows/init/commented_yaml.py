"""Choices as YAML, every line with its comment."""

import json
import re
from collections.abc import Sequence
from typing import Any

from texlens.core.errors import one_line
from texlens.workflows.init.choices import ChosenSetting

BRANCHES = {
    "model": "which checkpoint learns",
    "data": "which rows it learns from",
    "data.splits": "names of the data set's splits, or shares of train",
    "base": "how the frozen weights are held in memory",
    "adapter": "what is trained on top of the checkpoint",
    "train": "how long and how fast",
    "train.optimizer": "AdamW",
    "train.compute": "what changes time and memory, but not what is learned",
    "train.logging": "what is reported on the way",
    "evaluate": "how the result is read and scored",
}
"""What a line says that opens a branch."""
PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off)$)[A-Za-z][A-Za-z0-9_./-]*", re.IGNORECASE)
"""Texts that need no quotes."""
ORDER = ("name", "model", "data", "base", "adapter", "train", "evaluate")


def commented_yaml(title: str, chosen: Sequence[ChosenSetting]) -> str:
    """A run file.

    Example:
        [ChosenSetting("model.path", "nano", "ships with TexLens")] ->

        # title
        model:  # which checkpoint learns
          path: nano  # ships with TexLens
    """
    tree: dict[str, Any] = {}
    for choice in sorted(chosen, key=lambda choice: ORDER.index(choice.key.split(".")[0])):
        *branches, leaf = choice.key.split(".")
        parent = tree
        for branch in branches:
            parent = parent.setdefault(branch, {})
        parent[leaf] = choice
    return "\n".join([f"# {one_line(title)}", *_lines(tree, "")]) + "\n"


def _lines(tree: dict[str, Any], prefix: str) -> list[str]:
    lines = []
    for name, part in tree.items():
        key = f"{prefix}{name}"
        indent = "  " * key.count(".")
        if isinstance(part, ChosenSetting):
            lines.append(f"{indent}{name}: {_value(part.value)}  # {one_line(part.reason)}")
        else:
            lines += [f"{indent}{name}:  # {BRANCHES[key]}", *_lines(part, f"{key}.")]
    return lines


def _value(value: Any) -> str:
    """A scalar or list in YAML's flow style, which JSON is a part of; texts that can't be misread without quotes."""
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)
