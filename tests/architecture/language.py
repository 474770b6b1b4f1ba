"""Finds the words that docs/glossary.md asks to avoid. `python tests/architecture/language.py PATH …` lists them."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
FOLDERS = ("src", "tests", "benchmarks", "pretraining", "docs", "recipes", "notebooks")
SUFFIXES = (".py", ".md", ".yaml", ".jinja", ".html", ".js", ".css", ".ipynb")
EXEMPT = (
    "docs/glossary.md",
    "docs/changelog.md",
    "src/texlens/config/aliases.py",
    "tests/unit/config/test_aliases.py",
    "benchmarks/results",
    "tests/fixtures",
    "tests/architecture/test_language.py",
)
"""The list itself, the aliases of old names, results as they were written, and data."""

Location = tuple[Path, int, str]


def word_lists(glossary: str) -> tuple[list[str], list[str]]:
    """Phrases avoided everywhere, and names to avoid, from the two tables under "Words to avoid"."""
    everywhere, names = glossary.split("## Words to avoid")[1].split("Only as names")
    return _first_column(everywhere), _first_column(names)


def offenses(file: Path, phrases: list[str], names: list[str]) -> Iterator[Location]:
    """Each line of the file that holds a phrase or binds a name to avoid."""
    text = file.read_text(encoding="utf-8")
    yield from ((file, number, word) for number, word in _phrases(text, phrases))
    if file.suffix == ".py":
        yield from ((file, number, name) for number, name in _names(text, set(names)))


def project_files(*paths: str) -> list[Path]:
    """All files the test reads, or those under the given paths."""
    roots = [ROOT / path for path in paths or FOLDERS] + (
        [] if paths else [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    )
    files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*")))]
    return [file for file in files if file.suffix in SUFFIXES and file.is_file() and not _is_exempt(file)]


def _is_exempt(file: Path) -> bool:
    path = file.resolve().relative_to(ROOT).as_posix()
    return path.startswith(EXEMPT) or "__pycache__" in path


def _first_column(table: str) -> list[str]:
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ") and not row.startswith("| avoid")]
    return [word.strip() for row in rows for word in row.split(",")]


def _phrases(text: str, phrases: list[str]) -> Iterator[tuple[int, str]]:
    """Phrases as words of prose and as parts of snake_case and CamelCase names."""
    pattern = re.compile(
        r"(?<![a-z])(?:"
        + "|".join(re.escape(p).replace(r"\ ", r"[\s_]+") for p in sorted(phrases, key=len, reverse=True))
        + r")(?![a-z])",
        re.IGNORECASE,
    )
    for number, line in enumerate(text.splitlines(), 1):
        for match in pattern.finditer(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", line)):
            yield number, match.group()


def _names(text: str, names: set[str]) -> Iterator[tuple[int, str]]:
    """Names that the file binds: variables, parameters, attributes of classes, functions and classes."""
    for node in ast.walk(ast.parse(text)):
        bound = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound = node.id
        elif isinstance(node, ast.arg):
            bound = node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound = node.name
        if bound and bound.strip("_").lower() in names:
            yield getattr(node, "lineno", 0), bound


def main() -> int:
    phrases, names = word_lists(GLOSSARY.read_text(encoding="utf-8"))
    locations = [location for file in project_files(*sys.argv[1:]) for location in offenses(file, phrases, names)]
    for file, number, word in locations:
        print(f"{file.relative_to(ROOT)}:{number}: {word}")
    print(f"{len(locations)} places")
    return 1 if locations else 0


if __name__ == "__main__":
    sys.exit(main())
