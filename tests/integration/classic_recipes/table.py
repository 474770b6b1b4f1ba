"""The tables of docs/tutorials/classic-recipes.md: settings, and commands, files or pages."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PAGES = Path(__file__).parents[3] / "docs" / "tutorials"
PAGE = {"en": PAGES / "classic-recipes.md", "zh": PAGES / "classic-recipes.zh.md"}


@dataclass(frozen=True)
class SettingRow:
    id: str
    recipes: tuple[str, ...]
    key: str
    value: Any


@dataclass(frozen=True)
class StepRow:
    """`step` is a command that begins with `texlens`, a path within the working directory, or a link to a page."""

    id: str
    step: str

    @property
    def is_command(self) -> bool:
        return self.step.startswith("texlens ")

    @property
    def page(self) -> tuple[str, str] | None:
        """File and anchor that the row links to."""
        link = re.fullmatch(r"\[.*\]\(([^#]+)#(.+)\)", self.step)
        return (link[1], link[2]) if link else None

    @property
    def section(self) -> str:
        return self.id.split(".")[0]


def rows(language: str = "en") -> list[SettingRow | StepRow]:
    parsed: list[SettingRow | StepRow] = []
    recipes: tuple[str, ...] = ()
    for line in PAGE[language].read_text(encoding="utf-8").splitlines():
        if line.startswith(("Recipes:", "配方：")):
            recipes = tuple(re.findall(r"`([^`]+)`", line))
        elif re.match(r"\| S\d", line):
            parsed.append(_row([cell.strip() for cell in line.strip("|").split(" | ")], recipes))
    return parsed


def _row(cells: list[str], recipes: tuple[str, ...]) -> SettingRow | StepRow:
    if len(cells) == 5:
        return SettingRow(cells[0], recipes, cells[2].strip("`"), yaml.safe_load(cells[3].strip("`")))
    return StepRow(cells[0], cells[2].strip("`"))
