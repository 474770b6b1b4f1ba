"""Canonical form: what becomes one, what stays apart, and that the picture stays."""

import gzip
import os
from importlib.resources import files
from itertools import islice

import pyarrow.parquet as parquet
import pytest

from tests.unit.latex.canonical.forms import form
from texlens.latex.canonical.form import canonical_form
from texlens.latex.canonical.picture_difference import ALIKE, difference
from texlens.latex.layout.formula import layout


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


def not_their_own_form(formulas):
    """Of those that parse, the formulas whose form has another form; and how many parse."""
    forms = [form for form in map(canonical_form, formulas) if form.problem is None]
    return [form.text for form in forms if canonical_form(form.text).text != form.text], len(forms)


def test_forms_of_the_demo_s_labels_are_their_own_forms():
    table = files("texlens") / "data" / "demo" / "train-00000-of-00001.parquet"
    labels = parquet.read_table(str(table), columns=["text"]).column("text").to_pylist()
    assert not_their_own_form(labels) == ([], len(labels))


def test_forms_of_real_formulas_are_their_own_forms(shared_data):
    """Every 60th of 30,000 formulas as authors wrote them; all of them with ALL_FORMULAS=1."""
    path = shared_data / "formulas" / "arxiv_display.txt.gz"
    if not path.is_file():
        pytest.skip("no file of real formulas")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        formulas = list(islice(lines, 0, 30_000, 1 if os.environ.get("ALL_FORMULAS") else 60))
    others, parsed = not_their_own_form(formulas)
    assert parsed > 0.6 * len(formulas)
    assert others == []
