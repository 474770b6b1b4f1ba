import pytest

from tests.unit.latex.parse.commands.nodes import node
from texlens.core.errors import LatexError
from texlens.latex.parse.nodes import Intertext, Matrix
from texlens.latex.parse.parser import parse


def test_plain_matrix_is_the_environment_of_that_name():
    matrix = node(r"\pmatrix{a & b \cr c & d}")
    assert isinstance(matrix, Matrix)
    assert matrix.environment == "pmatrix"
    assert [len(row) for row in matrix.rows] == [2, 2]
    with pytest.raises(LatexError, match=r"`\\pmatrix` is never closed"):
        parse(r"\pmatrix{a & b")


def test_words_between_lines_are_a_row():
    matrix = node(r"\begin{aligned}a&=b\\\intertext{and}c&=d\end{aligned}")
    assert isinstance(matrix.rows[1][0].items[0], Intertext)
