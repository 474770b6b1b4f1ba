"""The command line with TEXLENS_LANG=zh."""

import pytest


@pytest.fixture(autouse=True)
def chinese(monkeypatch):
    monkeypatch.setenv("TEXLENS_LANG", "zh")


def test_an_error_is_one_chinese_line(texlens, tmp_path):
    done = texlens("data", "inspect", "./no/such")
    assert (done.code, done.err) == (2, "texlens：./no/such：没有这个文件或文件夹；请检查 data.path\n")


def test_a_plan_has_chinese_headings_and_lines(texlens, run_file):
    done = texlens("plan", run_file)
    assert done.code == 0, done.err
    for text in ("模块组", "训练参数", "2 个优化步", "个参数（"):
        assert text in done.out, text


def test_json_is_the_same_in_every_language(texlens, run_file, monkeypatch):
    chinese = texlens("plan", run_file, "--json").out
    monkeypatch.delenv("TEXLENS_LANG")
    assert texlens("plan", run_file, "--json").out == chinese
