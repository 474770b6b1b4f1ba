"""What is printed for TeX: our own tokens alone, whatever the formula."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from texlens.core.errors import LatexError
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.parser import parse
from texlens.latex.tex.source import MOST_DEPTH, marked_source

WRITTEN = """
    special genfrac sqrt left right middle stackrel overset underset xrightarrow xleftarrow mathop operatorname limits
    nolimits displaylimits phantom hphantom vphantom smash boxed not rule begin end hline mbox textrm textbf textit
    textsf texttt textbackslash textasciitilde textasciicircum mkern kern mathrm mathbf mathit mathsf mathtt mathcal
    mathbb mathfrak mathnormal boldsymbol rm bf it sf tt cal mathord mathbin mathrel mathopen mathclose
    mathpunct mathinner
"""
PRINTED = {"\\" + name for name in WRITTEN.split()} | {r"\\", r"\ ", r"\,"}
PRINTED = PRINTED.union(sym.SYMBOLS, sym.DELIMITERS, sym.BIG, sym.ACCENTS, sym.WIDE_ACCENTS, sym.OVER, sym.UNDER)
PRINTED = PRINTED.union(sym.STYLE_SWITCHES)
HOSTILE = [
    r"\input{/etc/passwd}", r"\input /etc/passwd ", r"\include{x}", r"\write18{touch x}", r"\immediate\write18{id}",
    r"\openin5=/etc/passwd", r"\openout5=x", r"\read5 to \x", r"\catcode`\@=11", r"\csname input\endcsname{x}",
    r"\def\x{\x}\x", r"\loop\iftrue\repeat", r"\special{ps: file}", r"\directlua{os.exit()}", r"\newread\x",
    r"^^5cinput x", r"\expandafter\input\string", r"\begin{filecontents}{x}\end{filecontents}",
    r"\usepackage{shellesc}",
    r"\text{\input{x}}", r"\mbox{\write18{x}}", r"\operatorname{\input{x}}", r"\tag{\input{x}}", r"\includegraphics{x}",
]  # fmt: skip


def commands(code):
    return set(re.findall(r"\\(?:[A-Za-z]+|.)", code))


@pytest.mark.parametrize("formula", HOSTILE)
def test_no_command_that_reads_writes_or_defines_comes_through(formula):
    try:
        code, _ = marked_source(parse(formula))
    except LatexError:
        return
    assert commands(code) <= PRINTED
    assert "^^" not in code


def test_nothing_but_known_commands_is_printed_for_formulas_of_every_kind():
    draw, formulas = random.Random(5), RandomFormulas()
    for _ in range(300):
        try:
            code, _ = marked_source(parse(formulas.sample(draw, 30)))
        except LatexError:
            continue
        assert commands(code) <= PRINTED


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*HOSTILE, r"\frac", "{", "}", "^", "_", "x", "&", r"\\", r"\left(", "#1", "~"])).map(
        " ".join
    )
)
def test_any_text_is_printed_from_tables_or_refused(formula):
    try:
        code, _ = marked_source(parse(formula))
    except LatexError:
        return
    assert commands(code) <= PRINTED
    assert code.isascii()


@pytest.mark.parametrize("formula", ["中", "\\text{é}", r"\xmapsto{x}", "{" * 120 + "x" + "}" * 120])
def test_what_tex_can_not_draw_is_an_error(formula):
    with pytest.raises(LatexError, match="TeX"):
        marked_source(parse(formula))


def test_the_braces_of_what_is_printed_pair_up_and_are_few():
    code, marked = marked_source(parse(r"\frac{a_1}{\sqrt{b}}"))
    assert code.count("{") == code.count("}") < 3 * MOST_DEPTH
    assert [type(mark.node).__name__ for mark in marked] == [
        "Fraction",
        "Scripts",
        "Symbol",
        "Symbol",
        "Radical",
        "Symbol",
    ]
