import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.config.recipes import recipe_named, recipes
from texlens.core.errors import ConfigError


def run(*arguments: str) -> str:
    return CliRunner().invoke(app, ["recipes", *arguments], catch_exceptions=False).stdout


def test_every_recipe_is_listed_with_what_it_trains():
    text = run("list")
    assert [name for name in recipes() if name not in text] == []
    assert [row["name"] for row in json.loads(run("list", "--json"))["recipes"]] == list(recipes())


def test_a_recipe_is_shown_as_it_is():
    assert run("show", "nano_latex-ocr_lora") == recipe_named("nano_latex-ocr_lora").text


def test_a_recipe_is_copied_and_replaces_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("copy", "nano_latex-ocr_lora", "mine.yaml")
    assert Path("mine.yaml").read_text() == recipe_named("nano_latex-ocr_lora").text
    with pytest.raises(ConfigError, match=r"mine\.yaml: exists already; choose another name, or --force replaces it"):
        run("copy", "nano_latex-ocr_lora", "mine.yaml")
    run("copy", "qwen3-vl-4b_latex-ocr_lora", "mine.yaml", "--force")
    assert "Qwen3-VL-4B" in Path("mine.yaml").read_text()
