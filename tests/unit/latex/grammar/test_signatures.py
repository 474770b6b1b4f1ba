"""Every command of the parser has its arguments in the grammar's table."""

from texlens.latex.grammar.signatures import COMMAND_NAMES, SIGNATURES, UNKNOWN
from texlens.latex.parse.commands import COMMANDS


def test_no_command_of_the_parser_is_missing():
    assert frozenset() == UNKNOWN
    assert {"\\frac", "\\sqrt", "\\left"} <= set(COMMANDS)


def test_signatures_name_the_arguments_in_order():
    assert SIGNATURES["\\frac"] == "mm"
    assert SIGNATURES["\\sqrt"] == "om"
    assert SIGNATURES["\\hspace"] == "sr"
    assert "\\sideset" not in COMMAND_NAMES
