"""Help pages in Chinese: nothing is left in English, and lines fit a terminal."""

import re

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from tests.unit.cli.test_help import COMMANDS
from texlens.cli.main import app
from texlens.cli.translated_help import wrapped

OPTION = re.compile(r"^\s+(-|[A-Z])|^\s{4,}texlens |^ {6,}--|\[OPTIONS\]")


def help_of(path: tuple[str, ...]) -> str:
    return CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80", "TEXLENS_LANG": "zh"}).stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_help_page_is_chinese_and_fits_80_columns(path):
    lines = help_of(path).splitlines()
    prose = [line for line in lines if len(line.split()) > 4 and not OPTION.search(line)]
    assert [line for line in prose if not re.search("[\u4e00-\u9fff]", line)] == []
    assert [line for line in lines if cell_len(line) > 100] == []
    assert [line for line in lines if re.search("[\u4e00-\u9fff]", line) and cell_len(line) > 80] == []


def test_option_names_are_complete_and_unchanged():
    text = help_of(("read",))
    assert all(name in text for name in ("--max-tokens", "--trust-remote-code", "--repetition-penalty"))
    assert "texlens read paper.pdf --pages 2-3" in text


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("读取 a 图片", 6, ["读取 a", "图片"]),
        ("一二三，四", 6, ["一二", "三，四"]),
        ("one two three", 8, ["one two", "three"]),
        ("", 8, []),
    ],
)
def test_text_is_wrapped_by_the_width_of_its_characters(text, columns, lines):
    assert wrapped(text, columns) == lines


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trian"], "错误：没有这个命令：'trian'，是不是想写 'train'？"),
        (["read", "a.png", "--fooo"], "错误：没有这个选项：--fooo"),
        (["read"], "错误：缺少参数 'IMAGE'。"),
    ],
)
def test_usage_errors_are_chinese_and_exit_with_2(arguments, line):
    done = CliRunner().invoke(app, arguments, env={"TEXLENS_LANG": "zh"})
    assert done.exit_code == 2
    assert line in done.stderr
    assert done.stderr.startswith("用法：")
