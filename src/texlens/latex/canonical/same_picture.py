"""Whether two formulas are drawn alike: the same glyphs and rules in the same places."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from texlens.core.errors import LatexError
from texlens.latex.canonical.form import canonical
from texlens.latex.layout.boxes import Layout, is_dashed
from texlens.latex.layout.formula import layout
from texlens.latex.parse import symbols as sym

__all__ = ["ACROSS_EM", "UPWARDS_EM", "is_same_layout", "is_same_picture"]

ACROSS_EM = 0.2  # a little more than a thin space
UPWARDS_EM = 0.2  # what a superscript moves by between `( x ) ^ 2` and `\left( x \right) ^ 2`
_SIZE_EM = 0.02
MOST_STEPS = 1_000_000  # half a second; pictures that need more are taken for unlike

_Mark = tuple[float, float, float, float]


def is_same_picture(a: str, b: str) -> bool:
    """Whether two formulas look alike: equal in canonical form, or every mark of one in the other.

    A mark may be up to `ACROSS_EM` and `UPWARDS_EM` from its counterpart. A formula that can't be drawn equals none.
    """
    first, second = canonical(a), canonical(b)
    if first.problem or second.problem:
        return False
    if first.text == second.text:
        return True
    letters, others = shown_letters(first.tokens), shown_letters(second.tokens)
    if letters is not None and others is not None and letters != others:
        return False
    drawn, other = _drawn(first.text), _drawn(second.text)
    return drawn is not None and other is not None and is_same_layout(drawn, other)


def shown_letters(tokens: Sequence[str]) -> list[str] | None:
    r"""Letters and digits that a canonical form draws, in order of the alphabet: unlike ones make unlike pictures.

    None where the tokens do not show it: some are arguments (`\hspace {9em}`), draw nothing (`\phantom`) or
    may be drawn by another token (`\mathfrak { R }` is `\Re`).
    """
    letters: list[str] = []
    for token in tokens:
        if len(token) == 1:
            if token.isalnum():
                letters.append(token)
        elif token in _FUNCTIONS:
            letters += token[1:]
        elif token not in _LETTERLESS:
            return None
    return sorted(letters)


_FUNCTIONS = sym.FUNCTIONS | {name for name, shown in sym.LIMIT_FUNCTIONS.items() if shown == name[1:]}
_LETTERLESS = frozenset(
    (
        *("\\frac", "\\sqrt", "\\left", "\\right", "\\mathrm", "\\mathbf", "\\mathit", "\\overline", "\\underline"),
        *(
            "\\mathcal",
            "\\mathsf",
            "\\mathtt",
            "\\stackrel",
            "\\overset",
            "\\underset",
            "\\\\",
            "\\limits",
            "\\nolimits",
        ),
        *(f"\\{end}{{{name}}}" for end in ("begin", "end") for name in ("aligned", "gathered", "cases")),
        *(f"\\{end}{{{kind}matrix}}" for end in ("begin", "end") for kind in ("", "p", "b", "B", "v", "V")),
        *sym.BIG,
        *(token for token, (shown, _) in sym.SYMBOLS.items() if not (shown.isascii() and shown.isalnum())),
        *sym.SPACES,
        *sym.STYLE_SWITCHES,
        *sym.ACCENTS,
        *sym.WIDE_ACCENTS,
    )
)


@lru_cache(maxsize=8192)
def _drawn(formula: str) -> Layout | None:
    try:
        return _from_ink(layout(formula, system_fonts=False))
    except LatexError:
        return None


def _from_ink(drawn: Layout) -> Layout:
    """Moved so that the ink begins at x = 0: empty space before it is no part of the picture."""
    starts = [ink.x for ink in (*drawn.glyphs, *drawn.rules, *drawn.lines)]
    left = min(starts, default=0.0)
    glyphs = tuple(glyph._replace(x=glyph.x - left) for glyph in drawn.glyphs)
    rules = tuple(rule._replace(x=rule.x - left) for rule in drawn.rules)
    lines = tuple(line._replace(x=line.x - left) for line in drawn.lines)
    return Layout(drawn.width, drawn.height, drawn.depth, glyphs, rules, lines)


def is_same_layout(a: Layout, b: Layout, across: float = ACROSS_EM, upwards: float = UPWARDS_EM) -> bool:
    """Whether each glyph and rule of `a` has a partner of its own in `b`, of its kind, size and place."""
    if len(a.glyphs) != len(b.glyphs) or len(a.rules) != len(b.rules) or len(a.lines) != len(b.lines):
        return False
    ours, theirs = _boxes_by_kind(a), _boxes_by_kind(b)
    if ours.keys() != theirs.keys():
        return False
    return all(_paired(boxes, theirs[kind], across, upwards) for kind, boxes in ours.items())


def _boxes_by_kind(drawn: Layout) -> dict[tuple[object, ...], list[_Mark]]:
    """Left, right, bottom and top of the marks of a kind: one glyph in one size, or rules lying or standing."""
    boxes: dict[tuple[object, ...], list[_Mark]] = defaultdict(list)
    for _, font, glyph, x, y, size, _ in drawn.glyphs:
        boxes[font, glyph, round(size / _SIZE_EM)].append((x, x, y, y))
    for rule in drawn.rules:
        x, y, width, height, _ = rule
        kind = width > height, is_dashed(rule), round(min(width, height) / _SIZE_EM)
        boxes[kind].append((x, x + width, y, y + height))
    for x, y, dx, dy, _, _ in drawn.lines:
        boxes["line", dy > 0].append((x, x + dx, y, y + dy))
    return boxes


def _paired(a: list[_Mark], b: list[_Mark], across: float, upwards: float) -> bool:
    """In order of x, each takes the first free one that is near enough; one left behind has no partner."""
    if len(a) != len(b):
        return False
    free = sorted(b)
    steps = 0
    for left, right, bottom, top in sorted(a):
        for i, (other_left, other_right, other_bottom, other_top) in enumerate(free):
            steps += 1
            if steps > MOST_STEPS:
                return False
            if abs(other_left - left) > across:
                return False
            if (
                abs(other_right - right) <= across
                and abs(other_bottom - bottom) <= upwards
                and abs(other_top - top) <= upwards
            ):
                del free[i]
                break
        else:
            return False
    return True
