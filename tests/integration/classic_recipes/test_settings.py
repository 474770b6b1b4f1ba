"""Every setting in the tables is what the recipe has, and both languages have the same tables."""

import re
from pathlib import Path

import pytest

from tests.integration.classic_recipes.table import PAGES, SettingRow, StepRow, rows
from texlens.config.load import load_config
from texlens.config.recipes import recipes

SETTINGS = [
    (row.id, recipe, row.key, row.value) for row in rows() if isinstance(row, SettingRow) for recipe in row.recipes
]


@pytest.fixture(scope="module")
def dumped():
    return {name: load_config(name).model_dump(mode="json") for name in {recipe for _, recipe, *_ in SETTINGS}}


@pytest.mark.parametrize(("row", "recipe", "key", "value"), SETTINGS, ids=lambda part: str(part)[:40])
def test_the_recipe_has_the_value_of_the_table(row, recipe, key, value, dumped):
    settings = dumped[recipe]
    for name in key.split("."):
        settings = settings[name]
    assert settings == value, row


def test_both_languages_have_the_same_rows():
    assert rows("zh") == [row if not _page(row) else _translated(row, rows("zh")) for row in rows("en")]


def _page(row):
    return isinstance(row, StepRow) and row.page


def _translated(row, translated):
    """A link may have the text of its language; it leads to the same place."""
    other = next(each for each in translated if each.id == row.id)
    assert other.page == row.page
    return other


def test_every_row_has_an_id_of_its_own():
    ids = [row.id for row in rows()]
    assert len(ids) == len(set(ids)) > 200


def test_every_recipe_of_the_tutorials_is_in_the_tables():
    known = {recipe for row in rows() if isinstance(row, SettingRow) for recipe in row.recipes}
    assert known <= set(recipes())
    assert {name for name in recipes() if name.startswith("qwen2")} <= known


@pytest.mark.parametrize("row", [row for row in rows() if _page(row)], ids=lambda row: row.id)
def test_a_page_and_its_section_are_there(row):
    file, anchor = row.page
    headings = re.findall(r"^#+ (.+)$", (PAGES / file).resolve().read_text(encoding="utf-8"), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    assert anchor in slugs, (Path(file).name, sorted(slugs))


def test_no_recipe_asks_for_recomputation_that_auto_decides_better():
    for name, recipe in recipes().items():
        assert "gradient_checkpointing" not in recipe.text, name
