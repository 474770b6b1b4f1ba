from pathlib import Path

import pytest
import yaml

from texlens.config.load import load_config
from texlens.config.recipes import find_run_file, recipe_named, recipes
from texlens.core.errors import ConfigError


def test_recipes_are_in_the_package_and_each_has_a_summary():
    known = recipes()
    assert "nano_latex-ocr_lora" in known
    assert len(known) >= 15
    for recipe in known.values():
        assert recipe.summary.endswith((".", ")", "]'.")), recipe.name
        assert yaml.safe_load(recipe.text)["model"]["path"]


@pytest.mark.parametrize(
    "name", ["nano_latex-ocr_lora", "nano_latex-ocr_lora.yaml", "recipes/nano_latex-ocr_lora.yaml"]
)
def test_a_recipe_is_a_run_file_by_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_run_file(name) == recipe_named("nano_latex-ocr_lora").path
    assert load_config(name).model.path == "nano"


def test_a_file_goes_before_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nano_latex-ocr_lora").write_text("model: {path: mine}\ndata: {path: x}\n")
    assert load_config("nano_latex-ocr_lora").model.path == "mine"


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean the recipe nano_latex-ocr_lora"):
        find_run_file("nano_latex_ocr_lora")
    with pytest.raises(ConfigError, match="did you mean nano_latex-ocr_lora"):
        recipe_named("nano_latex_ocr")
    with pytest.raises(ConfigError, match="`texlens recipes list` names complete ones"):
        find_run_file("zzz/none.yaml")
