"""The project speaks the field's language: docs/glossary.md lists the words to avoid, and no file holds one of them."""

from pathlib import Path

import pytest

from tests.architecture.language import FOLDERS, GLOSSARY, ROOT, offenses, project_files, word_lists

PHRASES, NAMES = word_lists(GLOSSARY.read_text(encoding="utf-8"))


def found_in(tmp_path: Path, text: str, name: str = "a.py") -> list[str]:
    (tmp_path / name).write_text(text)
    return [word for _, _, word in offenses(tmp_path / name, PHRASES, NAMES)]


@pytest.mark.parametrize("folder", [*FOLDERS, "README.md", "CONTRIBUTING.md"])
def test_no_file_holds_a_word_to_avoid(folder):
    locations = [location for file in project_files(folder) for location in offenses(file, PHRASES, NAMES)]
    assert [f"{file.relative_to(ROOT)}:{line}: {word}" for file, line, word in locations] == []


@pytest.mark.parametrize("text", ['"""The slope of x."""', "grad_slope = 1", "def takeSlope(): ...", "# the slope"])
def test_a_phrase_is_found_in_prose_and_in_names(tmp_path, text):
    assert found_in(tmp_path, text) != []


@pytest.mark.parametrize("text", ["found = 1", "def f(truth): ...", "class Thin: ...", "for place in []: ..."])
def test_a_bad_name_is_found_where_it_is_bound(tmp_path, text):
    assert found_in(tmp_path, text) != []


@pytest.mark.parametrize("text", ['"""Matches found in a file."""', "row = 1", "# a model card"])
def test_ordinary_words_pass(tmp_path, text):
    assert found_in(tmp_path, text) == []
