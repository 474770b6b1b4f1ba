"""Chinese messages: each is a message that the program has, and says the same things in the same order."""

import ast
import re
from pathlib import Path

import pytest

from texlens.core.language import SEPARATOR, read_messages, translated

SOURCE = Path(__file__).parents[3] / "src" / "texlens"
MESSAGES = [line.split(SEPARATOR) for line in read_messages()]


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("TEXLENS_LANG", "zh")


@pytest.fixture(scope="module")
def texts():
    """All texts of the source, in one."""
    nodes = (node for file in SOURCE.rglob("*.py") for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    constants = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return "\n".join(constants).lower()


def test_without_the_variable_nothing_changes(monkeypatch):
    monkeypatch.delenv("TEXLENS_LANG", raising=False)
    assert translated("d: no such file or folder; check data.path") == "d: no such file or folder; check data.path"


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("d: no such file or folder; check data.path", "d：没有这个文件或文件夹；请检查 data.path"),
        (
            "texlens: zzz: no such run file or recipe; did you mean the recipe nano?",
            "texlens：zzz：没有这个运行文件或配方；是不是想用配方 nano？",
        ),
        (
            "r.yaml: unknown key 'train.epoch'; did you mean 'train.epochs'?",
            "r.yaml：未知的键“train.epoch”；是不是想写 'train.epochs'？",
        ),
        ("  12 optimizer steps", "  12 个优化步"),
        ("a message that nobody wrote", "a message that nobody wrote"),
    ],
)
def test_messages_are_translated_with_their_parts(chinese, english, expected):
    assert translated(english) == expected


def test_every_line_of_a_text_is_translated(chinese):
    assert translated("written: a\nfetching b") == "已写入：a\n正在下载 b"


@pytest.mark.parametrize(("english", "target"), MESSAGES, ids=[english[:40] for english, _ in MESSAGES])
def test_a_translation_has_as_many_parts_and_is_chinese(english, target):
    assert english.count("{}") == target.count("{}")
    assert re.search("[\u4e00-\u9fff：]", target)


@pytest.mark.parametrize("english", [english for english, _ in MESSAGES])
def test_a_translated_message_is_one_that_the_program_has(english, texts):
    pieces = [
        piece.strip(" ;:,.'`()") for piece in re.split(r"\{\}|\(got |; |, about|texlens: (?:note: )?", english.lower())
    ]
    missing = [piece for piece in pieces if len(piece) > 9 and piece not in texts]
    assert missing == [] or english.startswith(("input should", "{}: No space", "{}: Permission")), missing
