r"""Which `\left … \right` of a formula are drawn at their natural size, so that plain delimiters draw the same."""

from functools import cache

from texlens.latex.layout.boxes import Box
from texlens.latex.layout.engine import LayoutEngine, State
from texlens.latex.layout.formula import engine_of
from texlens.latex.layout.structures import layout_delimited
from texlens.latex.parse.nodes import Delimited, Node, Row, Symbol
from texlens.latex.parse.symbols import DELIMITERS

_FONT = "latin-modern"
SCRIPT_EM = 0.2  # how far a script may move when a fence is written without `\\left` and `\\right`
_PLAIN_REACH, _DEEPEST = (0.75, 0.25), 0.3  # em; the height and depth of a parenthesis, and a depth that moves little
_LARGEST_SHIFT = 0.03  # em; a natural delimiter that is centered on the axis moves no more


class Fences:
    """Sizes of the delimiters in one formula; the formula is laid out when the first is needed."""

    def __init__(self, tree: Row):
        self.tree = tree
        self.natural: dict[int, tuple[float, float]] | None = None

    def is_natural(self, node: Delimited) -> bool:
        r"""Whether both delimiters come out as the glyphs that they are without `\left` and `\right`."""
        if all(isinstance(item, Symbol) and item.atom != "op" for item in node.body.items):
            return DELIMITERS.get(node.left, node.left) != "" and DELIMITERS.get(node.right, node.right) != ""
        if self.natural is None:
            self.natural = _measured(self.tree)
        return id(node) in self.natural

    def moves_scripts_little(self, node: Delimited, style: int) -> bool:
        """Whether scripts are within `SCRIPT_EM` of their position after the bare closing delimiter."""
        height, depth = (self.natural or {}).get(id(node), _PLAIN_REACH)
        constants, sizes = engine_of(_FONT).constants, engine_of(_FONT).sizes
        name = "SuperscriptShiftUpCramped" if style & 1 else "SuperscriptShiftUp"
        up = constants["DisplaySuperscriptShiftUp" if style == 0 else name] * sizes[style >> 1]
        drop = constants["SuperscriptBaselineDropMax"] * sizes[min(3, (style >> 1) + 1)]
        return height - drop - up <= SCRIPT_EM and depth <= _DEEPEST


class _Measuring(LayoutEngine):
    """An engine that records which of its fences have their natural size."""

    def __init__(self, engine: LayoutEngine, natural: dict[int, tuple[float, float]]):
        self.__dict__.update(engine.__dict__)
        self.natural = natural
        self.methods = {**engine.methods, Delimited: _noted}


def _measured(tree: Node) -> dict[int, tuple[float, float]]:
    natural: dict[int, tuple[float, float]] = {}
    _Measuring(engine_of(_FONT), natural).node(tree, 0, ("", False))
    return natural


def _noted(engine: LayoutEngine, node: Delimited, style: int, state: State) -> tuple[int, Box]:
    atom, box = layout_delimited(engine, node, style, state)
    if all(
        _is_plain(engine, token, child[2], style)
        for token, child in ((node.left, box.children[0]), (node.right, box.children[-1]))
    ):
        assert isinstance(engine, _Measuring)
        engine.natural[id(node)] = box.height, box.depth
    return atom, box


def _is_plain(engine: LayoutEngine, token: str, fence: Box, style: int) -> bool:
    if not fence.children:
        return False
    ((_, shift, glyph),) = fence.children
    plain = _plain(engine, DELIMITERS.get(token, token), max(0, (style >> 1) - 1))
    return glyph.ink is not None and plain is not None and glyph.ink[:4] == plain[:4] and abs(shift) <= _LARGEST_SHIFT


@cache
def _plain(engine: LayoutEngine, character: str, level: int) -> tuple | None:
    return engine.glyph_box(character, level, character).ink
