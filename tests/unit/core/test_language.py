"""Chinese messages: every message that a user can meet has one, which says the same things."""

import re

import pytest

from tests.architecture.messages import Project, templates, untranslated
from texlens.core.language import HEADINGS, HOLE, LOCALE, read_entries, translated

ENTRIES = read_entries()
FREE = ("libraries", "headings")
"""Files whose messages are those of Typer, pydantic and the operating system, or single words."""


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("TEXLENS_LANG", "zh")


@pytest.fixture(scope="module")
def every_template() -> list[str]:
    return templates()


def test_without_the_variable_nothing_changes_and_no_file_of_messages_is_read(monkeypatch):
    monkeypatch.delenv("TEXLENS_LANG", raising=False)
    monkeypatch.setattr("texlens.core.language.LOCALE", None)
    monkeypatch.setattr("texlens.core.language._entries", read_entries)
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
            "r.yaml：未知的键“train.epoch”；是不是想写“train.epochs”？",
        ),
        (
            "r.yaml: 'train.epochs': input should be greater than 0 (got -1)",
            "r.yaml：“train.epochs”：应当大于 0（现在是 -1）",
        ),
        ("  12 optimizer steps", "  12 个优化步"),
        ("a message that nobody wrote", "a message that nobody wrote"),
        ("a.png: shared: text", "a.png: shared: text"),
    ],
)
def test_messages_are_translated_with_their_parts(chinese, english, expected):
    assert translated(english) == expected


def test_every_line_of_a_text_is_translated(chinese):
    assert translated("written: a\nfetching b") == "已写入：a\n正在下载 b"


def test_parts_may_be_in_another_order(chinese):
    message = "f.txt: no formula of 3 to 5 tokens among 7 lines; write one a line"
    assert translated(message) == "f.txt：7 行里没有 3 到 5 个 token 的公式；请每行写一个"


def test_the_name_of_a_column_is_no_heading(chinese):
    assert translated("rows") == "行数"
    assert "rows" in translated("t: no column rows for the text; it has share, value")


def test_every_message_has_a_translation_that_says_all_of_it(chinese, every_template):
    """`python -m tests.architecture.messages` lists what is missing, ready for src/texlens/core/locales/zh."""
    assert untranslated(every_template) == []


def test_a_new_message_without_a_translation_is_found(chinese, tmp_path):
    (tmp_path / "a.py").write_text(
        "class TexlensError(Exception): pass\n"
        "HINT = 'look behind the sofa'\n"
        "def f(x, console):\n"
        "    hint = f'nobody knows {x}' if x else HINT\n"
        "    console.print('written:', f'written: {x}')\n"
        "    if not x:\n"
        "        raise TexlensError(f'{x}: no such pile of images')\n"  # `{} images` alone has a translation
        "    raise TexlensError(f'{x}: no such sofa; {hint}')\n"
    )
    messages = [message.template for message in Project(tmp_path).messages()]
    assert untranslated(messages) == [
        "{}: no such pile of images",
        "{}: no such sofa; {}",
        "nobody knows {}",
        "look behind the sofa",
    ]


def test_a_translated_message_is_one_that_the_program_has(every_template):
    known = {" ".join(template.lower().split()) for template in every_template}
    files = {file.stem for file in LOCALE.glob("*.txt")} - {*FREE, "other"}
    checked = [entry for file in files for entry in read_entries(file)]
    assert len(checked) > 1000
    assert [entry.english for entry in checked if " ".join(entry.english.lower().split()) not in known] == []


@pytest.mark.parametrize("file", sorted(file.stem for file in LOCALE.glob("*.txt")))
def test_a_translation_has_as_many_parts_and_is_chinese(file):
    for entry in read_entries(file):
        assert len(re.findall(r"(?<!\{)\{\d?\}(?!\})", entry.chinese)) == entry.english.count(HOLE), entry.english
        assert re.search("[\u4e00-\u9fff：]", entry.chinese) or entry.chinese == entry.english, entry.english


def test_a_message_has_one_translation():
    known: dict[str, str] = {}
    for entry in ENTRIES:
        if not entry.is_heading:
            assert known.setdefault(entry.english, entry.chinese) == entry.chinese
    assert HEADINGS in {file.stem for file in LOCALE.glob("*.txt")}
