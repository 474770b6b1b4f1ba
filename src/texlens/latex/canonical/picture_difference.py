"""How two drawings of one formula differ, by what canonical form may and may not change."""

import numpy as np

from texlens.latex.layout.boxes import Layout, PlacedGlyph
from texlens.latex.layout.natural_delimiters import SCRIPT_EM

EXACT_EM = 0.01
THIN_EM = 1 / 6 + 0.011
ALIKE = ("equal", "within a thin space", "within two thin spaces", "script of a fence or group")


def difference(before: Layout, after: Layout) -> str:
    """One of `ALIKE`, or what else is different: glyphs, rules, sizes, heights, gaps.

    Marks are compared in the order that layout gives them. `equal` is every mark within `EXACT_EM` of its place.
    """
    if len(before.glyphs) != len(after.glyphs):
        return "glyphs more or fewer"
    if len(before.rules) != len(after.rules) or len(before.lines) != len(after.lines):
        return "rules more or fewer"
    if any(a.glyph_id != b.glyph_id or a.font != b.font for a, b in zip(before.glyphs, after.glyphs, strict=True)):
        return "another glyph"
    if any(abs(a.size - b.size) > EXACT_EM for a, b in zip(before.glyphs, after.glyphs, strict=True)):
        return "another size"
    first, second = _places(before), _places(after)
    moved = np.abs(first - second)
    if moved.size == 0 or moved.max() <= EXACT_EM:
        return "equal"
    if moved[:, 1].max() > SCRIPT_EM:
        return "moved up or down"
    change = _largest_gap_change(before.glyphs, after.glyphs)
    if change > 2 * THIN_EM:
        return "a gap changed"
    if moved[:, 1].max() > EXACT_EM:
        return "script of a fence or group"
    return "within a thin space" if change <= THIN_EM else "within two thin spaces"


def _places(drawn: Layout) -> np.ndarray:
    """x and y of every mark, from the leftmost ink and the first mark's height; rules by both ends."""
    places = [(glyph.x, glyph.y) for glyph in drawn.glyphs]
    places += [(rule.x, rule.y) for rule in drawn.rules]
    ends = [(rule.x + rule.width, rule.y + rule.height) for rule in drawn.rules]
    array = np.array(places + ends or [(0.0, 0.0)])
    array -= array[:, 0].min(), array[0, 1]
    return array


def _largest_gap_change(before: tuple[PlacedGlyph, ...], after: tuple[PlacedGlyph, ...]) -> float:
    """The most that a gap on a line changes; what moves further than its lines grew counts as a gap too.

    Glyphs that follow one another at one height are on a line. From one line to the next (numerator to denominator,
    cell to cell) a mark may move by all that gaps changed, since it is centered or set in a column.
    """
    slack = largest = 0.0
    jumps = []
    for i in range(1, len(before)):
        change = abs((after[i].x - after[i - 1].x) - (before[i].x - before[i - 1].x))
        if abs(before[i].y - before[i - 1].y) < 1e-6 and abs(after[i].y - after[i - 1].y) < 1e-6:
            largest = max(largest, change)
            slack += change
        else:
            jumps.append(change)
            slack += min(change, THIN_EM)
    return max([largest, *(jump for jump in jumps if jump > slack + THIN_EM)])
