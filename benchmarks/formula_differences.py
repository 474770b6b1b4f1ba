r"""Why the trees of a formula differ: every kind of difference that remains, with the reason why ours is right.

A kind is found by the source and by how the trees differ first. `example` is a shortest source that shows it;
`formula_meaning.py` checks that each still does, so that no kind outlives its difference.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mathml_trees import Leaf, Tree, letters, without_fonts

BOTH = ("katex", "mathjax")


class Kind(NamedTuple):
    """`pattern` is searched in the source; `shows` says whether the trees (ours, theirs) differ in this way."""

    name: str
    reason: str
    example: str
    engines: tuple[str, ...]
    pattern: str
    shows: Callable[[Tree, Tree], bool]


def letters_lost(*lost: str) -> Callable[[Tree, Tree], bool]:
    """Whether theirs has letters that ours has not, or the other way, and among them one of these."""

    def shows(ours: Tree, theirs: Tree) -> bool:
        mine, other = Counter(letters(ours)), Counter(letters(theirs))
        changed = (mine - other) + (other - mine)
        return bool(changed) and (not lost or any(letter in changed for letter in lost))

    return shows


def fonts_only(ours: Tree, theirs: Tree) -> bool:
    return without_fonts(ours) == without_fonts(theirs)


def places(ours: Tree, theirs: Tree) -> bool:
    """The same letters and marks, in another order or structure."""
    return Counter(letters(ours)) == Counter(letters(theirs)) and not fonts_only(ours, theirs)


def anything(ours: Tree, theirs: Tree) -> bool:
    return ours != theirs


_LENGTH = r"\[ *-?[\d.,]+ *(?:pt|ex|em|mm|cm|in|mu)"
_ALPHABET = r"\\(?:mathcal|mathscr|mathrm|mathsf|mathbf|mathfrak|cal|rm|bf|sf|frac|det|dim|sin|cos|log|tan|exp|ln)"
_OPERATOR = r"\\(?:lim|max|min|sup|inf|det|gcd|Pr|limsup|liminf|argmax|argmin)(?![A-Za-z])"
_LARGE = r"\\(?:sum|prod|int|bigcup|bigcap|bigoplus|bigotimes|smallint|coprod|bigvee|bigwedge|bigsqcup)"

KINDS: Sequence[Kind] = (
    Kind(
        "a bracket at the start of an alignment",
        r"MathJax takes any [...] after \begin{aligned} for an option and drops it; amsmath has [t], [b], [c] alone.",
        r"\begin{aligned}[A,B]&=C\end{aligned}", ("mathjax",),
        r"\\begin\{(?:aligned|alignedat|gathered|split)\}(?:\{\d\})?\s*\[", letters_lost("[", "]"),
    ),
    Kind(
        "the option of an alignment",
        r"KaTeX has no [t], [b], [c] after \begin{aligned} and draws it.",
        r"\begin{aligned}[t]a&=b\end{aligned}", ("katex",),
        r"\\begin\{(?:aligned|alignedat|gathered)\}\s*\[[tbc]\]", letters_lost("[", "]"),
    ),
    Kind(
        "a length after a space after the line end",
        r"In array, LaTeX looks past spaces for the option of \\ ; the engines draw it.",
        r"\begin{array}{c}a\\ [2mm]b\end{array}", BOTH, r"\\\\\s+" + _LENGTH, letters_lost("[", "]"),
    ),
    Kind(
        r"\\* of an alignment",
        r"KaTeX draws the star of \\*, which forbids a page break.",
        r"\begin{aligned}a\\*b\end{aligned}", ("katex",), r"\\\\\s*\*", letters_lost("*"),
    ),
    Kind(
        r"the option of \stackrel",
        r"What is set below by the package stackrel; the engines take [ for the argument.",
        r"\stackrel[i]{n}{x}", BOTH, r"\\stackrel\s*\[", letters_lost("[", "]"),
    ),
    Kind(
        "options of dashed columns and lines",
        r"arydshln's lengths, which MathJax draws.",
        r"\begin{array}{c}a\\\hdashline[2pt/2pt]b\end{array}", ("mathjax",), r";\s*\{|\\hdashline\s*\[", anything,
    ),
    Kind(
        r"\MoveEqLeft",
        r"mathtools' command moves the line and adds an empty cell; ours leaves no mark, as in one column.",
        r"\begin{aligned}\MoveEqLeft[2]a\\&=b\end{aligned}", ("mathjax",), r"\\MoveEqLeft", anything,
    ),
    Kind(
        r"\left<",
        r"KaTeX's MathML has the sign < where TeX, and KaTeX's own HTML, draw an angle bracket.",
        r"\left<x\right>", ("katex",), r"\\(?:left|right|middle|[bB]igg?[lrm]?)\s*[<>]|\\[lg]t", letters_lost("<", ">"),
    ),
    Kind(
        r"\pmb",
        r"Poor man's bold prints a letter several times, a little moved: KaTeX as a shadow, MathJax as two letters."
        r" Ours is the bold letter that it imitates.",
        r"\pmb{x}", BOTH, r"\\pmb", anything,
    ),
    Kind(
        r"\boldsymbol on letters of another alphabet",
        r"KaTeX leaves \mathcal, \mathrm, \mathsf and numbers within \boldsymbol as they are; TeX makes them bold.",
        r"\boldsymbol{\mathrm{H}}", ("katex",), r"\\(?:boldsymbol|bm|bold)(?![A-Za-z])", fonts_only,
    ),
    Kind(
        r"bold and italic text",
        r"MathJax loses the bold of \textbf{\emph{M}}; LaTeX keeps series and shape apart.",
        r"\textbf{\emph{M}}", ("mathjax",), r"\\text(?:bf|it)|\\emph", fonts_only,
    ),
    Kind(
        r"\imath and \jmath",
        r"KaTeX's MathML has upright ones; TeX's are math italic.",
        r"\imath", ("katex",), r"\\[ij]math", fonts_only,
    ),
    Kind(
        "digits in script letters",
        r"Unicode has none, and with unicode-math they are plain, as ours; Knuth's font has other signs there.",
        r"\cal 2", BOTH, r"\\(?:cal|mathcal|mathscr|scr|Cal)(?![A-Za-z])", fonts_only,
    ),
    Kind(
        r"\AA",
        r"A letter of text, upright in TeX.",
        r"\AA", ("katex",), r"\\AA|\\aa(?![A-Za-z])", fonts_only,
    ),
    Kind(
        "a name in another alphabet as an operator",
        r"KaTeX's MathML loses the alphabet of \operatorname{\mathbb{E}}.",
        r"\operatorname*{\mathbb{E}}", ("katex",), r"\\operatorname", fonts_only,
    ),
    Kind(
        r"\it before numbers and operators",
        r"The engines end or extend \it elsewhere than at the end of the group.",
        r"\rm a\it b2\int 3", BOTH, r"\\(?:it|rm|sl|mit)(?![A-Za-z])|\\textit", fonts_only,
    ),
    Kind(
        "limits of an operator within an operator",
        r"\mathop{\max}_x has its limits below in display style; KaTeX sets them at the side.",
        r"\mathop{\max}_x", ("katex",), r"\\mathop", places,
    ),
    Kind(
        "limits of a named operator in text style",
        r"KaTeX's MathML keeps them below whatever the style; its HTML, and TeX, set them at the side.",
        r"\frac{\max_i x}{y}", ("katex",), _OPERATOR + r"|\\operatorname\*|\\smallint|\\var", places,
    ),
    Kind(
        r"\limits in text style",
        r"KaTeX's MathML does not say that \limits keeps them below, so that a browser moves them.",
        r"\frac{\sum\limits_i x}{y}", ("katex",),
        _LARGE + r"\s*\\limits|\\(?:over|under)(?:line|brace|set)", anything,
    ),
    Kind(
        "a prime after a limit",
        r"\sum\limits_h' has the prime over the sum in TeX; MathJax sets it at the side.",
        r"\sum\limits_h'", ("mathjax",), r"'|\\prime", places,
    ),
    Kind(
        r"\tag",
        r"A number is at the end of its line, in aligned too, where amsmath refuses it; the engines give a number of"
        r" the inner line to the whole, or to another line.",
        r"a\\b\tag{1}", BOTH, r"\\tag", places,
    ),
    Kind(
        r"\coloneq",
        r"Two commands of this name exist: := in mathtools today, :- before 2022 and in the engines.",
        r"a\coloneq b", BOTH, r"\\(?:Coloneq|coloneq|eqcolon|Eqcolon)(?![A-Za-z])", letters_lost("-", "="),
    ),
    Kind(
        "dots before an operator",
        r"\dots before \sum is centered in amsmath (\DOTSB); MathJax keeps it low.",
        r"a\dots\sum b", ("mathjax",), r"\\dots(?![A-Za-z])", letters_lost("·"),
    ),
    Kind(
        "a reference that can't be resolved",
        r"LaTeX prints ?? and (??); MathJax prints ???.",
        r"\eqref{x}", ("mathjax",), r"\\(?:eq)?ref", letters_lost("?"),
    ),
    Kind(
        "Greek capitals that look Latin",
        r"KaTeX's MathML has N for \Nu; ours has the Greek letter, which looks the same.",
        r"\Nu", ("katex",),
        r"\\(?:Alpha|Beta|Epsilon|Zeta|Eta|Iota|Kappa|Mu|Nu|Omicron|Rho|Tau|Chi)(?![A-Za-z])", letters_lost(),
    ),
    Kind(
        r"\not before a group",
        r"Ours strikes out the group; the engines set the stroke before it.",
        r"\not{\!D}", BOTH, r"\\not(?![A-Za-z])", anything,
    ),
    Kind(
        r"\set",
        r"KaTeX sets a script on the closing brace, TeX on the whole; it is at the same place.",
        r"\set{n}_k", ("katex",), r"\\(?:set|bra|ket|braket|Set)(?![A-Za-z])", places,
    ),
    Kind(
        r"\c as an accent",
        r"Ours is the cedilla of LaTeX_OCR's labels; elsewhere authors define it.",
        r"\c c", ("katex",), r"\\[cdbuvH](?![A-Za-z])|\\[\"'^=.`]", anything,
    ),
    Kind(
        "letters of a word",
        r"MathJax makes one name of letters in \mathrm and the like and sets a script on the name; in TeX it is on the"
        r" last letter. It is at the same place.",
        r"\mathrm{ab_c}", ("mathjax",),
        r"\\(?:math(?:rm|bf|sf|it|tt)|boldsymbol|bm|operatorname|rm|bf|textbf|text)(?![A-Za-z])", places,
    ),
)  # fmt: skip
_COMPILED = [re.compile(kind.pattern) for kind in KINDS]


def kind_of(source: str, ours: Tree, theirs: Tree, engine: str) -> str | None:
    """The name of the first kind that explains a difference; None where none does."""
    for kind, pattern in zip(KINDS, _COMPILED, strict=True):
        if engine in kind.engines and pattern.search(source) and kind.shows(ours, theirs):
            return kind.name
    return None


def first_difference(ours: Tree | Leaf | str, theirs: Tree | Leaf | str) -> str:
    """Where two trees part, in words: for what no kind explains."""
    if isinstance(ours, Leaf | str) or isinstance(theirs, Leaf | str):
        return f"{_named(ours)} | {_named(theirs)}"
    for mine, other in zip(ours, theirs, strict=False):
        if mine != other:
            return first_difference(mine, other)
    longer = ours if len(ours) > len(theirs) else theirs
    side = "ours" if longer is ours else "theirs"
    return f"more in {side}: {_named(longer[min(len(ours), len(theirs))])}"


def _named(item: Tree | Leaf | str) -> str:
    if isinstance(item, Leaf):
        return f"{item.character} {item.font}"
    return item if isinstance(item, str) else f"<{item[0] if item and isinstance(item[0], str) else 'row'}>"
