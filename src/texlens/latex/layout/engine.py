"""Rows: items to atoms, atoms to a box.

Styles are numbered 0 display, 2 text, 4 script, 6 scriptscript; odd ones are cramped.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from texlens.latex.layout.boxes import Box, kern
from texlens.latex.layout.fonts import MathFont
from texlens.latex.layout.glyphs import Glyphs, State
from texlens.latex.layout.spacing import MIDDLE, SPACE, Atom, gap, settled
from texlens.latex.parse.alphabets import styled
from texlens.latex.parse.nodes import FontSwitch, Middle, Node, Row, Space, StyleChange, Symbol

MU_SPACES = frozenset(
    ["\\,", "\\:", "\\;", "\\!", "\\>", "\\mkern", "\\mskip", "\\mspace", "\\thickspace", "\\medspace"]
)


class LayoutEngine(Glyphs):
    """Turns rows of nodes into boxes, with one font; `methods` maps each type of node to its layout function."""

    gap = staticmethod(gap)
    """The space between two classes of atoms in a style; a subclass may set others than TeX's."""

    def __init__(self, font: MathFont, methods: Mapping[type, "Method"], system_fonts: bool = False):
        super().__init__(font, system_fonts)
        self.methods = methods

    def node(self, node: Node, style: int, state: State) -> Box:
        """Any node as a box of its own."""
        if type(node) is Row:
            return self.spaced(self.atoms(node.items, style, state))
        if type(node) is Symbol:
            return self.symbol(node, style, state)[1]
        return self.spaced(self.atoms((node,), style, state))

    def atoms(self, items: Iterable[Node], style: int, state: State) -> list[Atom]:
        """(class, box, style) of each item; switches act on what follows them."""
        out: list[Atom] = []
        for item in items:
            if isinstance(item, Symbol):
                atom, box = self.symbol(item, style, state)
                out.append((atom, box, style))
            elif isinstance(item, Space):
                scale = self.sizes[style >> 1] if item.source in MU_SPACES else 1.0
                out.append((SPACE, kern(item.width_em * scale), style))
            elif isinstance(item, StyleChange):
                style = item.style | (style & 1)
            elif isinstance(item, FontSwitch):
                state = changed(state, item.alphabet)
            elif isinstance(item, Middle):
                out.append((MIDDLE, kern(0.0), style))
            else:
                atom, box = self.methods[type(item)](self, item, style, state)
                out.append((atom, box, style))
        return out

    def spaced(self, atoms: list[Atom]) -> Box:
        """Atoms side by side with TeX's space between their classes."""
        if len(atoms) == 1:
            return atoms[0][1]
        classes = settled(atoms)
        children = []
        x = height = depth = 0.0
        before = -1
        sizes = self.sizes
        for (_, box, style), atom in zip(atoms, classes, strict=True):
            if atom >= 0:
                if before >= 0:
                    x += self.gap(before, atom, style) * sizes[style >> 1]
                before = atom
            children.append((x, 0.0, box))
            x += box.width
            if box.height > height:
                height = box.height
            if box.depth > depth:
                depth = box.depth
        return Box(x, height, depth, children)


def changed(state: State, alphabet: str) -> State:
    """The font state after a font command."""
    if alphabet == "":
        return state
    if alphabet == "bold":
        return state[0], True
    if alphabet == "unbold":
        return state[0], False
    return alphabet, state[1]


def cell_state(state: State) -> State:
    r"""The font state within the cells of a table: TeX begins a new formula there, so that only bold stays in force."""
    return "", state[1]


def operator_letters(name: str, state: State) -> str:
    r"""The letters of a function's name: upright, and bold where `\boldsymbol` or `\boldmath` is in force."""
    return "".join(styled(letter, "bf", False) for letter in name) if state[1] else name


def superscript_style(style: int) -> int:
    return (4 if style < 4 else 6) | (style & 1)


def subscript_style(style: int) -> int:
    return (4 if style < 4 else 6) | 1


Method = Callable[[LayoutEngine, Any, int, State], tuple[int, Box]]
