"""TeX's atom classes and the space between them (The TeXbook, chapter 18)."""

from texlens.latex.layout.boxes import Box

ORD, OP, BIN, REL, OPEN, CLOSE, PUNCT, INNER = range(8)
CLASS = {name: i for i, name in enumerate(("ord", "op", "bin", "rel", "open", "close", "punct", "inner"))}
SPACE, MIDDLE = -1, -2
# TeXbook p. 170, a row for the left neighbor's class. 1: thin space; in display and text style only,
# 4: thin, 5: medium, 6: thick.
GAPS = ("01560004", "11060004", "55005005", "66006006", "00000000", "01560004", "44044444", "41564044")
THIN_SPACE, _MEDIUM, _THICK = 3 / 18, 4 / 18, 5 / 18
_GAP_WIDTH = {"0": 0.0, "1": THIN_SPACE, "4": THIN_SPACE, "5": _MEDIUM, "6": _THICK}
Atom = tuple[int, Box, int]


def settled(atoms: list[Atom]) -> list[int]:
    """Classes once binary operators without two operands have become ordinary (TeXbook p. 442, rules 5 and 6)."""
    classes = [atom[0] for atom in atoms]
    before = -1
    for i, atom in enumerate(classes):
        if atom < 0:
            continue
        left = classes[before] if before >= 0 else OPEN
        if atom == BIN and left in (BIN, OP, REL, OPEN, PUNCT):
            classes[i] = ORD
        elif atom in (REL, CLOSE, PUNCT) and left == BIN:
            classes[before] = ORD
        before = i
    if before >= 0 and classes[before] == BIN:
        classes[before] = ORD
    return classes


def gap(left: int, right: int, style: int) -> float:
    """The space between two atoms of these classes, in em of the style's own size."""
    code = GAPS[left][right]
    return _GAP_WIDTH[code] if code == "1" or style < 4 else 0.0
