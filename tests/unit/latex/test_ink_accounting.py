r"""Nothing that has ink disappears: the letters, digits and rules of a source are compared with those drawn.

A recording parser notes the tokens that are read as options, lengths, names and column specifications; every other
letter or digit of the source has to be drawn at least as often as it occurs.
"""

import gzip
import re
import unicodedata
from collections import Counter
from itertools import islice

import pytest

from texlens.core.errors import LatexError
from texlens.latex.layout.formula import layout
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.commands import COMMANDS
from texlens.latex.parse.parser import parse
from texlens.latex.parse.recursive_descent import Parser
from texlens.latex.parse.tokens import scan

_WITHOUT_INK = re.compile(r"\\[hv]?phantom|\\mathchoice|\\ce\b|\$")
_ONE_RULE = frozenset(
    [
        "\\frac",
        "\\dfrac",
        "\\tfrac",
        "\\cfrac",
        "\\over",
        "\\sqrt",
        "\\overline",
        "\\underline",
        "\\hline",
        "\\hdashline",
    ]
)


class RecordingParser(Parser):
    """Notes which tokens are read as text that is not drawn."""

    __slots__ = ("without_ink",)

    def __init__(self, formula):
        super().__init__(formula, scan(formula), COMMANDS)
        self.without_ink = set()

    def _recorded(self, read, *arguments):
        start = self.i
        value = read(*arguments)
        self.without_ink.update(range(start, self.i))
        return value

    def raw(self, command):
        if command == "accent":
            return super().raw(command)
        return self._recorded(super().raw, command)

    def raw_optional(self):
        return self._recorded(super().raw_optional)

    def letter_option(self, letters):
        return self._recorded(super().letter_option, letters)

    def dimension(self):
        return self._recorded(super().dimension)

    def _row_end(self, closing):
        return self._recorded(super()._row_end, closing)


def leaves(formula):
    """Letters and digits of the source that must be drawn, and the rules."""
    parser = RecordingParser(formula)
    parser.formula_row()
    letters, rules = Counter(), 0
    for i, text in enumerate(parser.texts[:-1]):
        if i in parser.without_ink:
            continue
        if len(text) == 1 and text.isalnum():
            letters.update(_plain(text))
        elif text in sym.SYMBOLS and sym.SYMBOLS[text][0].isalpha():
            letters.update(_plain(sym.SYMBOLS[text][0]))
        rules += text in _ONE_RULE
    return letters, rules


def _plain(text):
    return unicodedata.normalize("NFKD", text)


def missing(formula):
    """What the source has and the drawing has not."""
    letters, rules = leaves(formula)
    drawing = layout(formula, system_fonts=False)
    shown = Counter(letter for glyph in drawing.glyphs for letter in _plain(glyph.character))
    lacking = {letter: count - shown[letter] for letter, count in letters.items() if shown[letter] < count}
    if len(drawing.rules) < rules:
        lacking["rules"] = rules - len(drawing.rules)
    return lacking


@pytest.mark.parametrize(
    "formula",
    [
        r"\begin{aligned}[A,B] &= \frac{C}{D} \\[1em plus 2pt] E &= \sqrt[n]{F} \end{aligned}",
        r"\begin{array}{r@{u}l!{v}c}a&b&c\\\hline\cline{1-2}d&e&f\end{array}",
        r"\stackrel[i]{n}{x}\overbracket[1pt]{y}\xrightarrow[z]{w}\sideset{_a^b}{_c^d}\sum_e^f",
        r"\left\{a\over2\middle|b\right\}\text{if $x$ \textbf q}\tag{$1'$ c}",
        r"\framebox[2cm][l]{box}\raisebox{1pt}[2pt]{up}\color[rgb]{1,0,0}red \cite[p. 3]{key}",
        r"\begin{aligned}a&=b\\\intertext{and}c&=d\end{aligned}\eqno(2)",
        r"\begin{pmatrix*}[r]1\\-1\end{pmatrix*}\begin{tabular}{ll}Hello&World\end{tabular}",
        r"\cancel{x}\Set{y|z}\Braket{a|b}\mathop{\sum}\limits_i^n\genfrac{[}{]}{2pt}{1}{a}{b}",
    ],
)
def test_every_letter_and_rule_of_the_source_is_drawn(formula):
    assert missing(formula) == {}


def test_a_dropped_letter_would_be_found(monkeypatch):
    monkeypatch.setitem(COMMANDS, "\\overset", lambda parser, text: (parser.argument(text), parser.argument(text))[1])
    assert missing(r"\overset{a}{b}") == {"a": 1}


def test_real_formulas_lose_no_letter_and_no_rule(shared_data):
    path = shared_data / "formulas" / "arxiv_display.txt.gz"
    if not path.is_file():
        pytest.skip("no file of real formulas")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        formulas = [line.rstrip("\n") for line in islice(lines, 0, 30_000, 20)]
    lacking, checked = {}, 0
    for formula in formulas:
        try:
            parse(formula)
        except LatexError:
            continue
        if _WITHOUT_INK.search(formula):
            continue
        checked += 1
        if lost := missing(formula):
            lacking[formula] = lost
    assert checked > 500
    assert lacking == {}
