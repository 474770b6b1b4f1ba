"""Canonical form: what becomes one, what stays apart, and that the picture stays."""

import random
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from texlens.latex.canonical import form as module
from texlens.latex.canonical.form import canonical, canonical_form
from texlens.latex.canonical.picture_difference import ALIKE, difference
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.layout.formula import layout
from texlens.latex.parse.tokens import tokenize


def form(formula):
    result = canonical(formula)
    assert result.problem is None
    return result.text


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"\frac12", r"\frac { 1 } { 2 }"),
        (r"{a \over b}", r"\frac { a } { b }"),
        (r"x^{2}_i", "x _ { i } ^ { 2 }"),
        ("x'^2", r"x ^ { \prime 2 }"),
        (r"\left( x \right)", "( x )"),
        (r"{\cal A}", r"\mathcal { A }"),
        (r"{\bf x y} z", r"\mathbf { x y } z"),
        (r"\mathbf{x}\mathbf{y}", r"\mathbf { x y }"),
        (r"\operatorname { s i n } x", r"\sin x"),
        (r"\mbox{if } x", r"\mathrm { i f } \  x"),
        (r"a \le b \to c", r"a \leq b \rightarrow c"),
        (r"\displaystyle \sum\limits_i x \label{a} \nonumber", r"\sum _ { i } x"),
        (r"{n \choose k}", r"\binom { n } { k }"),
        (r"A^\dagger", r"A ^ { \dag }"),
        (r"\begin{align*} a &= b \end{align*}", "a = b"),
        (r"\hspace{5cm} x \quad", "x"),
        (r"\raisebox{2pt}{ab}", r"\raisebox {0.2em} {ab}"),
    ],
)
def test_the_form_of(formula, expected):
    assert form(formula) == expected


@pytest.mark.parametrize(
    ("formula", "other"),
    [
        (r"{\bar g}^2", r"\bar{g}^{2}"),
        (r"a\,b", "ab"),
        (r"a\;b", r"a\ b"),
        (r"x^{\prime\prime}", "x''"),
        (r"\vert x \vert", "|x|"),
        (r"\left\| x \right\|", r"\norm{x}"),
        (r"\not=", r"\ne"),
        (r"{\rm kin}^2", r"\mathrm{kin}^{2}"),
        (r"\text{max}\,x", r"\max x"),
        (r"\left(\begin{matrix}a&b\\c&d\end{matrix}\right)", r"\begin{pmatrix}a&b\\c&d\\\end{pmatrix}"),
        (r"\begin{split}a&=b\\&=c\end{split}", r"\begin{align}a&=b\\&=c\end{align}"),
        (r"\dfrac ab", r"\frac ab"),
        (r"\iff", r"\;\Longleftrightarrow\;"),
        ("α ≤ 𝑥", r"\alpha \leq x"),
        (r"\R", r"\mathbb{R}"),
        (r"f \colon x", r"f \colon\!x"),
        (r"\mathop{\rm lim}_{x}", r"\lim_{x}"),
        (r"\operatorname{Tr} A", r"\mathrm{Tr} A"),
        (r"\bigl( x \bigr)", r"\big( x \big)"),
        (r"a_{}^{2}", "a^2"),
        (r"{{{x}}}", "x"),
        (r"\stackrel{a}{=}", r"\overset{a}{=}"),
    ],
)
def test_two_spellings_of_one_picture(formula, other):
    assert form(formula) == form(other)
    assert difference(layout(formula), layout(other)) in ALIKE


@pytest.mark.parametrize(
    ("formula", "other"),
    [
        (r"\left( \frac{a}{b} \right)", r"( \frac{a}{b} )"),
        ("a{=}b", "a=b"),
        ("a{-}b", "a-b"),
        (r"a\quad b", "ab"),
        (r"\mathrm{sin} - x", r"\sin - x"),
        ("sin x", r"\sin x"),
        (r"\mathrm{max}_x", r"\max_x"),
        (r"\frac{\dfrac ab}{c}", r"\frac{\frac ab}{c}"),
        (r"\int\limits_0", r"\int_0"),
        (r"\sqrt{n}y", r"\sqrt{ny}"),
        (r"{x_i}^2", "x_i^2"),
        (r"\emptyset", r"\varnothing"),
        (r"\mathscr{A}", r"\mathcal{A}"),
        (r"{\sum}_i", r"\sum_i"),
        (r"\bigl( -x", r"\big( -x"),
        (r"x_{\mbox{a}}", r"x_{\text{a}}"),
        (r"D\!\!\!/", "D/"),
        (r"\left] 0, 1 \right[", "]0, 1["),
        (r"\text{a - b}", r"\mathrm{a} - \mathrm{b}"),
    ],
)
def test_pictures_that_differ_keep_two_forms(formula, other):
    assert form(formula) != form(other)


# What TeX Live 2022 with amsmath draws.
_AFTER = ("+ b", r"\times b", r"\int x", r"\sum x", r"\not= b", r"\iff b", r"\mid b")
CENTERED = tuple(rf"\dots {after}" for after in _AFTER)
LOW = (
    *(r"\dots", r"\dots )", r"\dots , b", r"\dots { = } b", r"\dots \, + b", r"\dots \ne b", r"\dots x"),
    *(r"\dots \mathrel { x }", r"\dots \left( x \right)", r"\dots \xrightarrow { x }", r"\dots ^ { 2 } + b"),
    r"\begin{matrix} \dots & = b \end{matrix}",
)


@pytest.mark.parametrize(
    ("formula", "dot"), [*((command, "⋅") for command in CENTERED), *((command, ".") for command in LOW)]
)
def test_dots_are_drawn_as_amsmath_draws_them_in_a_formula_and_in_its_form(formula, dot):
    for source in (formula, canonical(formula).text):
        assert "".join(glyph.character for glyph in layout(source).glyphs if glyph.character in ".⋅") == dot * 3


def test_dots_are_centered_before_an_operator():
    assert form(r"a + \dots + b, \dots, c") == r"a + \cdots + b , \ldots , c"


def test_what_cannot_be_parsed_comes_back_as_its_tokens_with_the_place():
    result = canonical(r"a  \foo b")
    assert result.tokens == ("a", "\\foo", "b")
    assert result.problem is not None
    assert result.problem.position == 3


def test_words_keep_their_spaces_when_they_stay_words():
    result = canonical(r"\text{don't know}")
    assert result.text == r"\text {don’t~know}"
    assert difference(layout(result.text), layout(r"\text{don't know}")) == "equal"


def test_tokens_are_those_of_the_text():
    result = canonical(r"\hspace{-3em} x \hspace{9em} y")
    assert list(result.tokens) == tokenize(result.text)


def test_a_long_formula_is_not_kept():
    module._cached_form.cache_clear()
    canonical("x" * (module.LONGEST_KEPT + 1))
    canonical("x")
    assert module._cached_form.cache_info().currsize == 1


def test_the_half_em_around_an_array_does_not_count():
    assert form(r"\begin{array}{cc} a & b \\ c & d \end{array}") == form(r"\begin{matrix} a & b \\ c & d \end{matrix}")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_random_formulas_have_a_form_that_is_its_own_form_and_draws_alike(seed, tokens):
    formula = RandomFormulas().sample(random.Random(seed), tokens)
    result = canonical_form(formula)
    assert result.problem is None
    assert canonical_form(result.text) == result
    kind = difference(layout(formula), layout(result.text))
    assert kind in ALIKE or "array" in formula


_PIECES = [
    *"ab1+=(),|-{}^_'&",
    "\\\\",
    "\\left(",
    "\\right)",
    "\\frac",
    "\\over",
    "\\sqrt",
    "\\mathrm",
    "\\bf",
    "\\sum",
]
_PIECES += [
    "\\limits",
    "\\text{a $b$}",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\operatorname",
    "\\not",
    "\\,",
    "\\dots",
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(_PIECES), max_size=14).map(" ".join)))
@example("\0")
@example("‮שלום")
@example("")
@example("\\")
def test_nothing_raises(formula):
    result = canonical_form(formula)
    if result.problem is None:
        assert canonical_form(result.text).problem is None


@pytest.mark.parametrize(
    "formula",
    [
        "{}" * 9900,
        r"{\scriptstyle a}" * 4900,
        r"\left(" * 140 + r"\frac12" + r"\right)^2" * 140,
        r"\text{$" * 70 + "x" + "$}" * 70,
        r"\begin{array}{c}" + "&" * 9000 + r"\end{array}",
        "x" * 1_000_000,
    ],
)
def test_hostile_formulas_take_a_bounded_time(formula):
    start = time.process_time()
    canonical_form(formula)
    assert time.process_time() - start < 10
