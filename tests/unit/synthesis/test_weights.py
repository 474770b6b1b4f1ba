"""The grammar's weights, learned from a list."""

import pytest

from texlens.core.errors import DataError
from texlens.latex.generate.alphabet import ALL
from texlens.synthesis.weights import learned_alphabet, restricted


def test_symbols_occur_as_often_as_in_the_list():
    alphabet = learned_alphabet([r"\alpha + x = 1", r"\alpha - \alpha"])
    assert set(alphabet.greek) == {r"\alpha"}
    assert set(alphabet.latin) == {"x"}
    assert set(alphabet.binary) == {"+", "-"}
    assert "fraction" not in alphabet.shapes
    assert alphabet.shapes["greek"] == 3.0


def test_shares_follow_the_counts():
    latin = learned_alphabet(["x x x y"]).latin
    assert latin.count("x") == 3 * latin.count("y")


def test_a_list_without_letters_is_refused():
    with pytest.raises(DataError, match="no letter and no digit"):
        learned_alphabet(["+ ="])


def test_symbols_that_are_not_allowed_go_with_the_shapes_that_have_none_left():
    allowed = frozenset({"x", "=", "1"})
    alphabet = restricted(ALL, allowed)
    assert set(alphabet.latin) == {"x"}
    assert "accent" not in alphabet.shapes
