"""The automaton accepts beginnings of formulas that parse, and nothing that is complete without parsing."""

import random

import pytest

from texlens.latex.canonical.form import canonical_form
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.grammar import START, advance, closing, is_complete
from texlens.latex.grammar.signatures import COMMAND_NAMES, ENVIRONMENTS

_PIECES = [*"abcxyz0123+-=()[]{}{}{}{}^_&|.,;:'$~!?/<> αβ∑²₁′中", "\\\\", "\\fr", "\\al", "\\left(", "\\right)"]
_PIECES += ["\\begin{matrix}", "\\end{matrix}", "\\begin{array}{cc}", "\\end{array}", "\\middle|", "\\text{", "\\frac"]


@pytest.mark.parametrize(
    "formula",
    [
        r"\frac12 x^{2}_i",
        r"\left( x \middle| \frac{a}{b} \right] _ { n }",
        r"\begin{array}[t]{c|c} a & b \\ \hline c & d \end{array}",
        r"\sqrt[3]{x} \operatorname*{argmax}_x \text{if $x > 0$ and \textbf{y}}",
        r"a \over b",
        r"\raise 2pt\hbox{x} \kern 2pt y \hspace*{1em} \rule{1em}{2pt}",
        r"\substack{a \\ b} \begin{cases} a & b \\ c \end{cases} \tag{1}",
        "$x$",
        "\\[ x² \\]",
        "x \\",
    ],
)
def test_a_formula_is_accepted_and_complete(formula):
    state = advance(START, formula)
    assert state is not None
    assert is_complete(state)
    assert closing(state) == ""


@pytest.mark.parametrize(
    "text",
    [
        *(r"\alphab", "a}", r"\right)", r"\left( a }", r"\frac}", "x^}", r"a \over b \over c", r"\begin{foo}", "a % b"),
        *(r"{a & b}", r"\begin{matrix} a \end{array}", "```", r"\mathbf^2"),
    ],
)
def test_what_no_formula_begins_with_is_refused(text):
    assert advance(START, text) is None


def test_whatever_the_automaton_completes_parses():
    rng = random.Random(0)
    names, environments = sorted(COMMAND_NAMES), sorted(ENVIRONMENTS)
    for _ in range(600):
        state, text = START, ""
        for _ in range(rng.randrange(1, 120)):
            piece = rng.choice(_PIECES) if rng.random() < 0.6 else rng.choice(names) + rng.choice(("", " "))
            piece = f"\\begin{{{rng.choice(environments)}}}" if rng.random() < 0.05 else piece
            after = advance(state, piece)
            if after is not None:
                state, text = after, text + piece
        text += closing(state)
        assert canonical_form(text).problem is None, text


def test_generated_formulas_are_accepted():
    formulas, rng = RandomFormulas(), random.Random(1)
    for _ in range(300):
        state = advance(START, formulas.sample(rng, 60))
        assert state is not None
        assert is_complete(state)
