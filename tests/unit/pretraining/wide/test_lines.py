r"""Matrices and lines have the sizes they are asked for and parse."""

import random

from pretraining.wide.lines import matrix, several_lines

from texlens.latex.layout.formula import layout


def fill(rng: random.Random, tokens: int) -> str:
    return " ".join(rng.choice("abxyz1") for _ in range(tokens))


def test_a_matrix_has_its_rows_and_columns():
    label = matrix(random.Random(0), fill, 4, 5)
    assert label.count("\\\\") == 4
    assert label.count("&") == 4 * 4


def test_all_kinds_can_be_drawn():
    rng = random.Random(2)
    labels = [several_lines(rng, fill) for _ in range(80)]
    for label in labels:
        assert layout(label).glyphs
    for environment in ("array", "cases", "aligned", "gathered"):
        assert any(f"\\begin{{{environment}}}" in label for label in labels)
