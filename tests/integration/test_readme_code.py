"""The Python code of the READMEs runs as printed, with fewer rows and steps."""

import re

import pytest

from tests.integration.conftest import RECIPES, ROOT
from texlens.latex.render.formats import render_png

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FEWER = '{"train.steps": 1, "evaluate.max_rows": 2, "data.splits.train": "train[:8]", "data.splits.validation": None, '


@pytest.mark.slow
def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(RECIPES)
    (tmp_path / "formula.png").write_bytes(render_png("x ^ { 2 } + 1", pixels_per_em=14))
    [code] = code_of("README.md")
    shorter = code.replace('{"train.steps": 80, ', FEWER).replace('"first-merged")', '"first-merged", rows=4)')
    assert "train[:8]" in shorter
    assert "rows=4" in shorter
    exec(compile(shorter, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("x ^ { 2 } + 1\n")
    assert (tmp_path / "first-merged" / "model.safetensors").is_file()


def test_both_readmes_have_the_same_code():
    english, chinese = code_of("README.md"), code_of("README.zh-CN.md")
    assert [re.sub(r" *#.*", "", code) for code in english] == [re.sub(r" *#.*", "", code) for code in chinese]


def code_of(name: str) -> list[str]:
    return BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))
