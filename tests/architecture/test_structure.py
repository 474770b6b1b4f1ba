"""Folders, files, names and imports stay as docs/explanation/design.md and CONTRIBUTING.md promise."""

import ast

import pytest

from tests.architecture.structure import ROOT, SOURCE, classes, cycles, folder_sizes, imports, modules, tree

MAX_FILES = 16
MAX_LINES = 450
MIN_MIRRORED = 0.8


def test_no_folder_holds_too_many_files():
    assert {folder: size for folder, size in folder_sizes().items() if size > MAX_FILES} == {}


def test_no_file_is_too_long():
    lengths = {file.relative_to(SOURCE).as_posix(): len(file.read_text().splitlines()) for file in modules().values()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_module_imports_itself_through_others_even_inside_of_functions():
    assert cycles({name: imports(name) for name in modules()}) == []


def test_a_circle_of_imports_is_seen():
    assert cycles({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == [{"a", "b", "c"}]


@pytest.mark.parametrize("function", ["import_module", "__import__"])
def test_no_module_of_ours_is_loaded_by_a_string(function):
    callers = [name for name in modules() for node in ast.walk(tree(name)) if _calls(node, function)]
    assert callers == []


def _calls(node: ast.AST, function: str) -> bool:
    """Whether a call of the function names a module of TexLens."""
    if not isinstance(node, ast.Call) or not node.args:
        return False
    return ast.unparse(node.func).rpartition(".")[2] == function and "texlens" in ast.unparse(node.args[0])


def test_a_class_name_means_one_thing():
    assert {name: places for name, places in classes().items() if len(places) > 1} == {}


def test_tests_mirror_the_source():
    """`src/texlens/a/b.py` is tested in `tests/unit/a/test_b.py`."""
    files = [file for file in modules().values() if file.name != "__init__.py" and _has_code(file.read_text())]
    mirrored = [file for file in files if _test_of(file).is_file()]
    missing = sorted(file.relative_to(SOURCE).as_posix() for file in files if not _test_of(file).is_file())
    assert len(mirrored) / len(files) >= MIN_MIRRORED, f"{len(mirrored)} of {len(files)} mirrored; not: {missing}"


def _test_of(file):
    path = file.relative_to(SOURCE)
    return ROOT / "tests" / "unit" / path.parent / f"test_{path.name}"


def _has_code(text: str) -> bool:
    """Whether there is something to test: a function, or a class with a method that does something."""
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return any(not isinstance(node.body[-1], ast.Expr) for node in functions)
