"""The source tree as values: modules, imports at any depth, definitions. Used by test_structure.py."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "texlens"


@cache
def modules() -> Mapping[str, Path]:
    """Files by dotted name; a package is its `__init__.py`."""
    files = sorted(SOURCE.rglob("*.py"))
    return {
        ".".join(["texlens", *file.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__"): file
        for file in files
    }


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def imports(name: str) -> set[str]:
    """Modules of TexLens that a module imports, at its top or inside of functions, but for type checking alone."""
    typing_only = {id(node) for block in _type_checking_blocks(name) for node in ast.walk(block)}
    imported: set[str] = set()
    for node in ast.walk(tree(name)):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("texlens"):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            imported |= {module if module in modules() else node.module for module in full}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names if alias.name.startswith("texlens")}
    return imported & set(modules())


def _type_checking_blocks(name: str) -> list[ast.If]:
    return [
        node for node in ast.walk(tree(name)) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]


def cycles(graph: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Groups of modules that import one another in a circle."""
    names = sorted(graph)
    index = {name: number for number, name in enumerate(names)}
    edges = [
        (index[name], index[target]) for name in names for target in graph[name] if target in index and target != name
    ]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    matrix = csr_array(([1] * len(edges), (rows, columns)), shape=(len(names), len(names)))
    _, labels = connected_components(matrix, directed=True, connection="strong")
    groups: dict[int, set[str]] = defaultdict(set)
    for name, label in zip(names, labels, strict=True):
        groups[label].add(name)
    return [group for group in groups.values() if len(group) > 1]


def classes() -> Mapping[str, list[str]]:
    """Modules that define a public top-level class of each name."""
    places: dict[str, list[str]] = defaultdict(list)
    for name in modules():
        for node in tree(name).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    return places


def folder_sizes() -> Mapping[str, int]:
    """Python files directly in each folder, without `__init__.py`."""
    sizes: dict[str, int] = defaultdict(int)
    for file in modules().values():
        if file.name != "__init__.py":
            sizes[file.parent.relative_to(SOURCE).as_posix()] += 1
    return sizes
