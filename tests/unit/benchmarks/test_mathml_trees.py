import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from mathml_trees import Leaf, counts, letters, tree_of, without_fonts


def math(content):
    return f'<span><math xmlns="http://www.w3.org/1998/Math/MathML">{content}</math></span>'


def items(content):
    return without_fonts(tree_of(math(content)))


X, TWO = Leaf("x", ""), Leaf("2", "")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("<mi>x</mi>", "<mrow><mstyle><mi>x</mi></mstyle></mrow>"),
        ("<mi>𝐱</mi>", '<mi mathvariant="bold">x</mi>'),
        ("<mi>ln</mi>", '<mi mathvariant="normal">l</mi><mi mathvariant="normal">n</mi>'),
        ("<mn>1</mn><msup><mn>0</mn><mn>2</mn></msup>", "<msup><mn>10</mn><mn>2</mn></msup>"),
        ("<mo>∉</mo>", "<mo>∈\u0338</mo>"),
        (
            "<mover><mi>x</mi><mo>^</mo></mover>",
            '<mover accent="true"><mi>x</mi><mo>\u0302</mo></mover>',
        ),
        ("<mfrac><mi>x</mi><mi>y</mi></mfrac>", "<mfrac><mrow><mi>x</mi></mrow><mi>y</mi></mfrac>"),
        ("<mi>x</mi><mspace/>", "<mi>x</mi>"),
        (
            "<mi>x</mi><mspace linebreak='newline'/><mi>y</mi>",
            "<mtable><mtr><mtd><mi>x</mi></mtd></mtr><mtr><mtd><mi>y</mi></mtd></mtr></mtable>",
        ),
    ],
)  # fmt: skip
def test_one_picture_has_one_tree(first, second):
    assert tree_of(math(first)) == tree_of(math(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("<mi>x</mi>", "<mi>y</mi>"),
        ("<mi>x</mi>", '<mi mathvariant="normal">x</mi>'),
        ("<mo>=</mo>", "<mo>≠</mo>"),
        ("<msub><mi>x</mi><mn>2</mn></msub>", "<msup><mi>x</mi><mn>2</mn></msup>"),
        ("<mfrac><mi>x</mi><mi>y</mi></mfrac>", '<mfrac linethickness="0"><mi>x</mi><mi>y</mi></mfrac>'),
        ("<msub><mi>x</mi><mn>2</mn></msub>", "<munder><mi>x</mi><mn>2</mn></munder>"),
    ],
)
def test_other_pictures_have_other_trees(first, second):
    assert tree_of(math(first)) != tree_of(math(second))


def test_limits_of_an_operator_move_to_its_side_in_text_style():
    limits = "<munder><mo{}>∑</mo><mi>x</mi></munder>"
    assert counts(tree_of(math(limits.format("")))) == {"limits": 1}
    assert counts(tree_of(math(f"<mfrac>{limits.format('')}<mn>2</mn></mfrac>")))["script"] == 1
    fixed = limits.format(' movablelimits="false"')
    assert counts(tree_of(math(f"<mfrac>{fixed}<mn>2</mn></mfrac>")))["limits"] == 1


def test_number_of_a_line_is_at_its_end():
    numbered = "<mtable><mlabeledtr><mtd><mtext>(1)</mtext></mtd><mtd><mi>x</mi></mtd></mlabeledtr></mtable>"
    assert letters(tree_of(math(numbered))) == "x(1)"


def test_letters_are_in_order():
    assert items("<msup><mi>x</mi><mn>2</mn></msup>") == (("script", (X,), (), (TWO,)),)
