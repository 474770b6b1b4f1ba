"""Whether two formulas are drawn alike: the same glyphs and rules in the same places."""

from collections import defaultdict
from functools import lru_cache

from texlens.core.errors import LatexError
from texlens.latex.boxes import Layout
from texlens.latex.canonical import canonical
from texlens.latex.layout import layout

__all__ = ["ACROSS_EM", "UPWARDS_EM", "same_layout", "same_picture"]

ACROSS_EM = 0.2  # a little more than a thin space
UPWARDS_EM = 0.2  # what a superscript moves by between `( x ) ^ 2` and `\left( x \right) ^ 2`
_SIZE = 0.02

_Place = tuple[float, float]


def same_picture(a: str, b: str) -> bool:
    """Whether two formulas look alike: equal in canonical form, or every mark of one in the other.

    A mark may lie up to `ACROSS_EM` and `UPWARDS_EM` beside its twin. A formula that can't be drawn looks like none.
    """
    first, second = canonical(a), canonical(b)
    if first.problem or second.problem:
        return False
    if first.text == second.text:
        return True
    drawn, other = _drawn(first.text), _drawn(second.text)
    return drawn is not None and other is not None and same_layout(drawn, other)


@lru_cache(maxsize=8192)
def _drawn(formula: str) -> Layout | None:
    try:
        return _from_ink(layout(formula))
    except LatexError:
        return None


def _from_ink(drawn: Layout) -> Layout:
    """Moved so that the ink begins at x = 0: empty space before it is no part of the picture."""
    starts = [glyph.x for glyph in drawn.glyphs] + [rule.x for rule in drawn.rules]
    left = min(starts, default=0.0)
    glyphs = tuple(glyph._replace(x=glyph.x - left) for glyph in drawn.glyphs)
    rules = tuple(rule._replace(x=rule.x - left) for rule in drawn.rules)
    return Layout(drawn.width, drawn.height, drawn.depth, glyphs, rules)


def same_layout(a: Layout, b: Layout, across: float = ACROSS_EM, upwards: float = UPWARDS_EM) -> bool:
    """Whether each glyph and rule of `a` has a partner of its own in `b`, of its kind, size and place."""
    if len(a.glyphs) != len(b.glyphs) or len(a.rules) != len(b.rules):
        return False
    return _all_paired(_glyph_places(a), _glyph_places(b), across, upwards) and _rules_paired(a, b, across, upwards)


def _glyph_places(drawn: Layout) -> dict[tuple[str, int, int], list[_Place]]:
    places: dict[tuple[str, int, int], list[_Place]] = defaultdict(list)
    for _, font, glyph, x, y, size, _ in drawn.glyphs:
        places[font, glyph, round(size / _SIZE)].append((x, y))
    return places


def _all_paired(
    a: dict[tuple[str, int, int], list[_Place]],
    b: dict[tuple[str, int, int], list[_Place]],
    across: float,
    upwards: float,
) -> bool:
    if a.keys() != b.keys():
        return False
    return all(_paired(places, b[kind], across, upwards) for kind, places in a.items())


def _paired(a: list[_Place], b: list[_Place], across: float, upwards: float) -> bool:
    """In order of x, each takes the first free one that is near enough."""
    if len(a) != len(b):
        return False
    free = sorted(b)
    for x, y in sorted(a):
        for i, (other_x, other_y) in enumerate(free):
            if other_x - x > across:
                return False
            if abs(other_x - x) <= across and abs(other_y - y) <= upwards:
                del free[i]
                break
        else:
            return False
    return True


def _rules_paired(a: Layout, b: Layout, across: float, upwards: float) -> bool:
    """Rules from left to right; their ends may differ as glyphs may, their thickness may not."""
    ours, theirs = (sorted(drawn.rules, key=lambda rule: (round(rule.y, 1), rule.x)) for drawn in (a, b))
    free = list(theirs)
    for rule in ours:
        for i, other in enumerate(free):
            if (
                abs(rule.x - other.x) <= across
                and abs(rule.y - other.y) <= upwards
                and abs(rule.x + rule.width - other.x - other.width) <= across
                and abs(rule.height - other.height) <= max(0.02, upwards * (rule.height > upwards))
            ):
                del free[i]
                break
        else:
            return False
    return True
