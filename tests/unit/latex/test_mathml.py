"""MathML shows what the drawing shows."""

import random
import unicodedata
from collections import Counter
from xml.etree import ElementTree

import pytest

from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.layout.formula import layout
from texlens.latex.mathml import to_mathml


def body(latex):
    mathml, problem = to_mathml(latex)
    assert problem is None
    start = '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">'
    assert mathml.startswith(start)
    return mathml[len(start) : -len("</math>")]


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("x", "<mi>x</mi>"),
        (r"x^2_{10}", "<msubsup><mi>x</mi><mn>10</mn><mn>2</mn></msubsup>"),
        (r"\sum_i^n", "<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover>"),
        (r"\int_0", "<msub><mo>∫</mo><mn>0</mn></msub>"),
        (r"\operatorname*{argmax}_{x} f", "<mrow><munder><mi>argmax</mi><mi>x</mi></munder><mi>f</mi></mrow>"),
        (r"\mathbf{x}\mathrm{d}", '<mrow><mi>𝐱</mi><mi mathvariant="normal">d</mi></mrow>'),
        (r"\text{for $x$ pure}", "<mrow><mtext>for\xa0</mtext><mi>x</mi><mtext>\xa0pure</mtext></mrow>"),
        (r"\text{a \& b}", "<mtext>a\xa0&amp;\xa0b</mtext>"),
        (r"\sqrt[3]{x}", "<mroot><mi>x</mi><mn>3</mn></mroot>"),
        (r"{n \choose k}", '<mrow><mo fence="true" stretchy="true">(</mo><mfrac linethickness="0"><mi>n</mi><mi>k</mi>'
         '</mfrac><mo fence="true" stretchy="true">)</mo></mrow>'),
        (r"\cancel{x}", '<menclose notation="updiagonalstrike"><mi>x</mi></menclose>'),
        (r"\hat x", '<mover accent="true"><mi>x</mi><mo stretchy="false">^</mo></mover>'),
    ],
)  # fmt: skip
def test_a_construct_becomes_its_element(latex, expected):
    assert body(latex) == expected


def test_lines_of_an_alignment_are_rows_of_a_table():
    root = ElementTree.fromstring(to_mathml(r"\begin{aligned} a &= b \\[2pt] c &= d \end{aligned}")[0])
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter() if row.tag.endswith("mtr")]
    assert rows == [["a", "=b"], ["c", "=d"]]


def test_what_does_not_parse_has_a_reason():
    assert to_mathml(r"\frac { a }")[0] is None
    assert "can be drawn" in to_mathml(r"\foo")[1]


def test_generated_formulas_have_the_letters_of_their_drawing():
    formulas, rng = RandomFormulas(), random.Random(3)
    for _ in range(200):
        latex = formulas.sample(rng, 40)
        root = ElementTree.fromstring(to_mathml(latex)[0])
        assert _letters("".join(root.itertext())) == _letters(
            "".join(glyph.character for glyph in layout(latex).glyphs)
        ), latex


def _letters(text):
    return Counter(c for c in unicodedata.normalize("NFKD", text) if c.isalnum() and unicodedata.category(c) != "Lm")


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\mathop{ab}", "<mrow><mi>a</mi><mi>b</mi></mrow>"),
        (r"\operatorname{ab}", "<mi>ab</mi>"),
        (r"\mathfrak{1}", '<mn mathvariant="fraktur">1</mn>'),
        (r"\boldsymbol{\sin}", "<mi>𝐬𝐢𝐧</mi>"),
        (r"\textit{a1b}", '<mrow><mtext>𝑎</mtext><mtext mathvariant="italic">1</mtext><mtext>𝑏</mtext></mrow>'),
        (
            r"\mathbf{\begin{matrix}a\end{matrix}}",
            '<mtable columnalign="center"><mtr><mtd><mi>a</mi></mtd></mtr></mtable>',
        ),
        (
            r"\textstyle\sum\limits_i",
            '<mstyle displaystyle="false" scriptlevel="0"><munder><mo movablelimits="false">∑</mo><mi>i</mi></munder>'
            "</mstyle>",
        ),
        (r"\sum_i", "<munder><mo>∑</mo><mi>i</mi></munder>"),
        (
            r"\begin{array}{|c}\hline a\\[1em]b\end{array}",
            '<menclose notation="top left"><mtable columnalign="center" rowlines="none" rowspacing="1.43em 0.43em">'
            "<mtr><mtd><mi>a</mi></mtd></mtr><mtr><mtd><mi>b</mi></mtd></mtr></mtable></menclose>",
        ),
    ],
)  # fmt: skip
def test_what_the_drawing_shows_is_in_the_mathml(latex, expected):
    assert body(latex) == expected
