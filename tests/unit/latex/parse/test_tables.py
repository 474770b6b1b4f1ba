"""Environments with cells and lines."""

from tests.unit.latex.parse.nodes import only, symbols
from texlens.latex.parse.nodes import (
    Matrix,
)


def test_cells_and_lines_of_an_array():
    matrix = only(r"\begin{array}{l|r} a & b \\[2pt] \hline c & d \\ \end{array}")
    assert isinstance(matrix, Matrix)
    assert (matrix.columns, matrix.lines) == ("l|r", (1,))
    assert [[symbols(cell) for cell in row] for row in matrix.rows] == [[["a"], ["b"]], [["c"], ["d"]]]


def test_plain_tex_matrices_are_read():
    assert only(r"\pmatrix{a & b \cr c & d}").environment == "pmatrix"


def test_lines_outside_of_any_environment_are_an_implied_alignment():
    assert only(r"a &= b \\ c &= d").implied
