"""The run files that ship in the package, by name."""

import difflib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from texlens.core.errors import ConfigError

FOLDER = Path(str(files("texlens"))) / "recipes"


@dataclass(frozen=True)
class Recipe:
    """`summary` is the comment at the top of the file."""

    name: str
    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def summary(self) -> str:
        lines = []
        for line in self.text.splitlines():
            if not line.startswith("#"):
                break
            lines.append(line.removeprefix("#").strip())
        return " ".join(lines)


def recipes() -> dict[str, Recipe]:
    """All recipes by name, in the order of their names."""
    return {path.stem: Recipe(path.stem, path) for path in sorted(FOLDER.glob("*.yaml"))}


def recipe_named(name: str) -> Recipe:
    """
    Raises:
        ConfigError: no recipe of that name; the nearest is named.
    """
    known = recipes()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "`texlens recipes list` names them"
    raise ConfigError(f"{name}: no recipe of that name; {hint}")


def find_run_file(name: str | Path) -> Path:
    """The file at a path, else the recipe of that name.

    Example:
        "mine.yaml" -> mine.yaml;  "nano_latex-ocr_lora" and "recipes/nano_latex-ocr_lora.yaml" -> the packaged file

    Raises:
        ConfigError: neither a file nor a recipe.
    """
    path = Path(name)
    if path.exists():
        return path
    known = recipes()
    if path.parent in (Path(), Path("recipes")) and path.name.removesuffix(".yaml") in known:
        return known[path.name.removesuffix(".yaml")].path
    near = difflib.get_close_matches(path.name.removesuffix(".yaml"), known, 1, 0.6)
    hint = f"did you mean the recipe {near[0]}?" if near else "`texlens recipes list` names complete ones to start from"
    raise ConfigError(f"{name}: no such run file or recipe; {hint}")
