import pytest

from texlens.core.errors import ConfigError, LatexError, TexlensError, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n  b\tc", "a b c"),
        ("\x1b[31mred\x9b", "\\x1b[31mred\\x9b"),
        ("\ud800", "\\ud800"),
        ("图 é", "图 é"),
        (OSError("no room"), "no room"),
    ],
)
def test_one_line_has_no_line_ends_and_no_control_characters(text, line):
    assert one_line(text) == line
    assert one_line(text).isprintable()


def test_one_line_is_cut_to_its_limit():
    assert one_line("x" * 10, 5) == "xxxx…"
    assert one_line("xxxxx", 5) == "xxxxx"


def test_errors_are_one_family():
    assert issubclass(ConfigError, TexlensError)
    assert LatexError("unknown command", 7).position == 7
