r"""What TeX means by a source: options, tables, limits, fonts and typed characters, drawn and in canonical form."""

import unicodedata

import pytest

from texlens.latex.canonical.form import canonical
from texlens.latex.canonical.picture_difference import ALIKE, difference
from texlens.latex.canonical.same_picture import is_same_picture
from texlens.latex.layout.formula import layout


def drawn(formula):
    """The glyphs in order as plain letters, and the number of rules."""
    drawing = layout(formula, system_fonts=False)
    return unicodedata.normalize("NFKC", "".join(glyph.character for glyph in drawing.glyphs)), len(drawing.rules)


@pytest.mark.parametrize(
    ("formula", "glyphs", "rules"),
    [
        # a bracket at the start of an environment is ink
        (r"\begin{aligned} [A,B] &= C \\ D &= E \end{aligned}", "[A,B]=CD=E", 0),
        (r"\begin{align}[A,B]&=C\end{align}", "[A,B]=C", 0),
        (r"\begin{split}[A,B]&=C\end{split}", "[A,B]=C", 0),
        (r"\begin{gather}[A,B]=C\\D=E\end{gather}", "[A,B]=CD=E", 0),
        (r"\begin{bmatrix}[a]&b\\c&d\end{bmatrix}", "[[a]bcd]", 0),
        (r"\begin{gathered}[t]a\\b\end{gathered}", "ab", 0),
        (r"\begin{array}[b]{c}a\\b\end{array}", "ab", 0),
        # options
        (r"{\color[rgb]{1,0,0}x}", "x", 0),
        (r"\stackrel[i=1]{n}{\sum}", "∑ni=1", 0),
        (r"\overbracket[1pt]{x}", "x⎴", 0),
        (r"\underbracket[0.5pt][2pt]{x}", "x⎵", 0),
        (r"\raisebox{1pt}[2pt]{x}", "x", 0),
        (r"\framebox[2cm]{x}", "x", 4),
        (r"\displaybreak[1]x", "x", 0),
        (r"\cite[p. 3]{x}", "[?,p.3]", 0),
        (r"\eqref{x}", "(??)", 0),
        (r"\hbox to 2cm{x}", "x", 0),
        (r"a\\[0,1cm]b", "ab", 0),
        (r"a\\[1em plus 2pt]b", "ab", 0),
        (r"\begin{array}{c;{2pt/2pt}c}a&b\\ \hdashline[2pt/2pt]c&d\end{array}", "abcd", 2),
        # ink of tables
        (r"\begin{array}{r@{=}l}a&b\\c&d\end{array}", "ab=cd=", 0),
        (r"\begin{array}{c!{|}c}a&b\end{array}", "ab|", 0),
        (r"\begin{array}{c:c}a&b\end{array}", "ab", 1),
        (r"\begin{array}{>{\bf}c<{!}}a\\b\end{array}", "a!b!", 0),
        (r"\begin{array}{*{2}{c|}}a&b\end{array}", "ab", 2),
        (r"\begin{array}{cc}a&b\\\cline{1-2}c&d\end{array}", "abcd", 1),
        (r"\begin{array}{cc}a&b\\\hline\hline c&d\end{array}", "abcd", 2),
        (r"\begin{array}{c||c}a&b\end{array}", "ab", 2),
        (r"\begin{array}{|c|c|}\multicolumn{2}{c}{x}\\a&b\end{array}", "xab", 3),
        (r"\begin{aligned}a&=b\\\intertext{and}c&=d\end{aligned}", "a=bandc=d", 0),
        (r"\begin{pmatrix*}[r]1\\-1\end{pmatrix*}", "(1−1)", 0),
        (r"x\qedhere", "x□", 0),
        (r"\begin{tabular}{c}Hello World\end{tabular}", "HelloWorld", 0),
        # numbers of equations
        (r"y\tag{$\ast$}", "y(∗)", 0),
        (r"y\tag{\textbf{P}}", "y(P)", 0),
        (r"y\tag{\ref{a}}", "y(??)", 0),
        (r"y\tag*{A}", "yA", 0),
        (r"y\eqno(2)", "y(2)", 0),
        (r"y\eqno\hbox{(1)}", "y(1)", 0),
        # the rest
        (r"\left\{a\over2\middle|b\right\}", "{a2|b}", 1),
        (r"x^{\mathchoice{D}{T}{S}{SS}}", "xS", 0),
        (r"\sideset{^1_2}{^3_4}\bigotimes", "12⨂34", 0),
        (r"\Set{x|y>0}", "{x|y>0}", 0),
        (r"\Braket{a|b|c}", "⟨a|b|c⟩", 0),
        (r"x²+y₁₂", "x2+y12", 0),
    ],
)
def test_the_source_is_drawn_as_tex_draws_it(formula, glyphs, rules):
    assert drawn(formula) == (glyphs, rules)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"\begin{align}[A,B]&=C\\D&=E\end{align}", r"\begin{aligned} [ A , B ] & = C \\ D & = E \end{aligned}"),
        (r"\begin{gather}[t]\\D=E\end{gather}", r"\begin{gathered} { } [ t ] \\ D = E \end{gathered}"),
        (r"\mathop{\sum}\limits_{i}^{n}", r"\sum _ { i } ^ { n }"),
        (r"\mathop \sum \limits_{i}^n", r"\sum _ { i } ^ { n }"),
        (r"\operatorname*{\sum}_{i}", r"\sum _ { i }"),
        (r"\mathop{\int}\limits_D", r"\int \limits _ { D }"),
        (r"\mathbf{\lim}_{x}", r"{ \lim } _ { x }"),
        (r"\mathop{\sum_{r=1}^{n}}_{V}", r"\mathop { \sum _ { r = 1 } ^ { n } } _ { V }"),
        (r"\textbf q", r"\mathbf { q }"),
        (r"H_\text c", r"H _ { \mathrm { c } }"),
        (r"\mbox{\boldmath $x$}", r"\boldsymbol { x }"),
        (r"\textbf{\emph{R}}", r"\boldsymbol { R }"),
        (r"\textbf{a\textup{b\textmd{c}}}", r"\mathbf { a b } \mathrm { c }"),
        (r"\text{a\textbf{b\emph{d&}}}", r"\text {a\textbf{b\textit{d\&}}}"),
        (r"\begin{array}{r@{=}l}a&b\end{array}", r"\begin{array} { r @ { = } l } a & b \end{array}"),
        (r"\begin{array}{@{}c@{}c@{}}a&b\end{array}", r"\begin{array} { c @ { } c } a & b \end{array}"),
        (r"\begin{array}{c}a\\\hdashline b\end{array}", r"\begin{array} { c } a \\ \hdashline b \end{array}"),
        (
            r"\begin{tabular}{c}a b\\c\end{tabular}",
            r"\begin{matrix} \mathrm { a } \  \mathrm { b } \\ \mathrm { c } \end{matrix}",
        ),
        (r"y\eqno(2)", r"y \tag * {$( 2 )$}"),
        (r"\genfrac{}{}{2pt}{}{a}{b}", r"{ a \above 0.200em b }"),
        (r"a\above 0.4pt b", r"\frac { a } { b }"),
        (r"\tilde{\textbf{S}}^{T}", r"\tilde { { } \mathbf { S } } ^ { T }"),
        (r"\mathfrak{1}", r"\mathfrak { 1 }"),
        (r"\mathbf{\begin{pmatrix}a\end{pmatrix}b}", r"\begin{pmatrix} a \end{pmatrix} \mathbf { b }"),
        (r"\boldsymbol{\begin{pmatrix}a\end{pmatrix}}", r"\begin{pmatrix} \boldsymbol { a } \end{pmatrix}"),
        (r"\bf\begin{aligned}a&=b\end{aligned}", "a = b"),
        (r"\sum_{\rm\substack{a\\b}}", r"\sum _ { \substack { a \\ b } }"),
        (r"\cancel x", r"\cancel { x }"),
        ("∑_{i}^n", r"\sum _ { i } ^ { n }"),
        ("a,…,b", r"a , \ldots , b"),
        ("x′", r"x ^ { \prime }"),
        ("2−3×α", r"2 - 3 \times \alpha"),
        ("𝐱𝒚ℝ", r"\mathbf { x } \boldsymbol { y } \mathbb { R }"),
        ("x²", r"x ^ { 2 }"),
    ],
)
def test_the_canonical_form_is_its_own_form_and_draws_the_same(formula, expected):
    assert canonical(formula).problem is None
    assert canonical(formula).text == expected
    assert canonical(expected).text == expected
    assert difference(layout(formula), layout(expected)) in ALIKE


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (r"\begin{align}[A,B]&=C\\D&=E\end{align}", r"\begin{align}[X]&=C\\D&=E\end{align}", False),
        (r"\begin{bmatrix}[a]&b\\c&d\end{bmatrix}", r"\begin{bmatrix}&b\\c&d\end{bmatrix}", False),
        (r"\mathop{\sum}\limits_{i}^{n}", r"\sum\nolimits_{i}^{n}", False),
        (r"\mathop{\sum}\limits_{i}^{n}", r"\sum_{i}^{n}", True),
        (r"\mathbf{\lim}_{x}", r"\lim_{x}", False),
        (r"H_\text c", r"H_{\text{c}}", True),
        (r"\textbf q", "q", False),
        (r"\mbox{\boldmath $x$}", r"\boldsymbol{x}", True),
        (r"\textbf{\emph{R}}", "R", False),
        ("∑_{i}^n", r"\sum_{i}^n", True),
        ("1,2,…", r"1,2,\ldots", True),
        (r"\begin{array}{c|c}a&b\end{array}", r"\begin{array}{c:c}a&b\end{array}", False),
        (r"\genfrac{}{}{2pt}{}{a}{b}", r"\frac{a}{b}", False),
        (r"\cancel{x}", r"\bcancel{x}", False),
        (r"\mathchoice{a}{b}{c}{d}", "a", True),
        (r"\text{若}x", r"\text{苦}x", False),
        (r"\text{若}x", r"\text{若}y", False),
    ],
)
def test_two_sources_are_equal_exactly_where_they_are_drawn_alike(first, second, equal):
    assert (canonical(first).text == canonical(second).text) == equal
    assert is_same_picture(first, second) == equal


def test_a_script_on_an_accented_box_has_the_height_that_tex_gives_it():
    plain, boxed = layout(r"\tilde{\mathbf{S}}^{T}"), layout(r"\tilde{\textbf{S}}^{T}")
    assert boxed.glyphs[-1].y > plain.glyphs[-1].y + 0.1
    assert layout(r"{\tilde{\textbf{S}}}^{T}").glyphs[-1].y == boxed.glyphs[-1].y


def test_limits_of_a_sideset_operator_are_centered_on_it():
    drawing = layout(r"\sideset{_a^b}{'}\sum_{n}")
    at = {glyph.character: glyph.x for glyph in drawing.glyphs}
    assert at["𝑎"] < at["∑"] < at["′"]
    assert at["∑"] < at["𝑛"] < at["′"]
