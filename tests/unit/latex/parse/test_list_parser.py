import pytest

from texlens.core.errors import LatexError
from texlens.latex.parse.commands import COMMANDS
from texlens.latex.parse.list_parser import MAX_DEPTH, ListParser
from texlens.latex.parse.nodes import Fraction, Row, Scripts, Symbol
from texlens.latex.parse.tokens import scan

A, B, TWO = (Symbol(letter, letter, "ord") for letter in "ab2")


def items(formula, stops=()):
    parser = ListParser(formula, scan(formula), COMMANDS)
    return parser.items(frozenset(stops)), parser.texts[parser.i]


def test_items_end_before_a_stop():
    assert items("a b]2", "]") == ([A, B], "]")


def test_scripts_take_the_atom_before_them():
    assert items("a b_2^a")[0] == [A, Scripts(B, TWO, A)]


def test_primes_come_first_in_a_superscript():
    ((script,), _) = items("a'^2")
    assert [item.source for item in script.sup.items] == ["\\prime", "2"]


def test_typed_script_characters_are_one_script():
    assert items("a²")[0] == [Scripts(A, None, Row((TWO,), braced=True))]


def test_division_takes_the_group_on_both_sides():
    assert items(r"a \over b")[0] == [Fraction("\\over", Row((A,)), Row((B,)))]


def test_nesting_is_bounded():
    with pytest.raises(LatexError, match=f"more than {MAX_DEPTH} levels"):
        items("{" * 200 + "a" + "}" * 200)
