"""A formula laid out so that each glyph and rule is mapped to its node and that node's place in the structure.

The layout engine is the one that draws; boxes without ink of their own are inserted between its boxes, so the positions
are equal to the last bit (a test compares them).
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from texlens.latex.layout.boxes import Box
from texlens.latex.layout.engine import LayoutEngine, Method, State
from texlens.latex.layout.fonts import font_file, math_font
from texlens.latex.layout.formula import METHODS
from texlens.latex.layout.spacing import ORD
from texlens.latex.parse.nodes import Arrow, Fraction, Negated, Node, Operator, Radical, Scripts, Sideset, Stack, Symbol
from texlens.latex.parse.parser import parse

Extent = tuple[float, float, float, float]
FONT = "latin-modern"
_MAX_CACHED = 50_000
_SLOTS: dict[type, dict[str, str]] = {
    Fraction: {"numerator": "over", "denominator": "under"},
    Radical: {"body": "in", "degree": "degree"},
    Scripts: {"sup": "sup", "sub": "sub"},
    Stack: {"over": "sup", "under": "sub"},
    Arrow: {"over": "sup", "under": "sub"},
    Sideset: {"left_sup": "sup", "left_sub": "sub", "right_sup": "sup", "right_sub": "sub"},
}
"""Places within a node; script-like ones share a name, because they may look the same."""


@dataclass(frozen=True, slots=True)
class Slot(Node):
    """A place within a node: `sup`, `sub`, `over`, `under`, `in`, `degree`."""

    name: str
    body: Node


@dataclass(frozen=True, slots=True)
class Fence(Node):
    """A delimiter, by its token."""

    token: str


class OwnedBox(Box):
    """All ink in it belongs to `node`, except that of an owned box further down."""

    __slots__ = ("node",)

    def __init__(self, box: Box, node: Node):
        super().__init__(box.width, box.height, box.depth, ((0.0, 0.0, box),))
        self.node = node


class Group:
    """The ink of one node at one place: extents in em with y up, and (character, source), no character for a rule.

    `numbers` counts all glyphs and rules of the formula in the order in which they are laid out.
    """

    __slots__ = ("extents", "inks", "node", "numbers", "parent")

    def __init__(self, node: Node, parent: "Group | None"):
        self.node = node
        self.parent = parent
        self.extents: list[Extent] = []
        self.inks: list[tuple[str, str]] = []
        self.numbers: list[int] = []


class OwnerTrackingEngine(LayoutEngine):
    r"""The layout engine with owners. Without `names_take_limits`, scripts of `\lim` and the like are at its right."""

    def __init__(self, font: str, names_take_limits: bool = True):
        super().__init__(
            math_font(font), {**{kind: _with_owner(method) for kind, method in METHODS.items()}, Slot: _slot}
        )
        self.names_take_limits = names_take_limits
        self._owned: dict[tuple[Symbol, int, State], tuple[int, Box]] = {}

    def symbol(self, node: Symbol, style: int, state: State) -> tuple[int, Box]:
        key = (node, style, state)
        entry = self._owned.get(key)
        if entry is None:
            if len(self._owned) > _MAX_CACHED:
                self._owned.clear()
            atom, box = super().symbol(node, style, state)
            entry = self._owned[key] = (atom, owned(box, node))
        return entry

    def delimiter(self, token: str, least: float, style: int) -> Box:
        return owned(super().delimiter(token, least, style), Fence(token))


def owned(box: Box, node: Node) -> Box:
    """A box as large as `box` whose ink belongs to `node`; the owner is one level down, so that copies keep it."""
    return Box(box.width, box.height, box.depth, ((0.0, 0.0, OwnedBox(box, node)),), box.italic, box.accent)


def ink_groups(formula: str, *, names_take_limits: bool = True) -> list[Group]:
    """The ink of a formula by node, in source order; groups without ink are places, not tokens.

    Raises:
        LatexError: the formula does not parse.
    """
    return groups_of(_engine(FONT, names_take_limits).node(parse(formula), 0, ("", False)))


def groups_of(box: Box) -> list[Group]:
    groups = [Group(Node(), None)]
    number = 0
    stack = [(0.0, 0.0, box, groups[0])]
    while stack:
        x, y, here, group = stack.pop()
        ink = here.ink
        if ink is None:
            if type(here) is OwnedBox and type(group.node) is not Negated:
                group = Group(here.node, group)
                groups.append(group)
            for dx, dy, child in reversed(here.children):
                stack.append((x + dx, y + dy, child, group))
            continue
        group.numbers.append(number)
        number += 1
        if len(ink) == 5:
            character, font, glyph, scale, source = ink
            left, bottom, right, top = _glyph_extent(font, glyph)
            group.extents.append((x + left * scale, y + bottom * scale, x + right * scale, y + top * scale))
            group.inks.append((character, source))
        elif len(ink) == 4:
            low, high = sorted((y, y + ink[1]))
            group.extents.append((x, low, x + ink[0], high))
            group.inks.append(("", ink[3]))
        else:
            group.extents.append((x, y, x + ink[0], y + ink[1]))
            group.inks.append(("", ink[2]))
    return groups


@cache
def _engine(font: str, names_take_limits: bool) -> OwnerTrackingEngine:
    return OwnerTrackingEngine(font, names_take_limits)


@cache
def _glyph_extent(font: str, glyph: int) -> Extent:
    metrics = font_file(font).metrics(glyph)
    return metrics[1], metrics[2], metrics[3], metrics[4]


def _with_owner(method: Method) -> Method:
    def with_owner(engine: LayoutEngine, node: Any, style: int, state: State) -> tuple[int, Box]:
        slots = _SLOTS.get(type(node))
        is_named = isinstance(node, Scripts) and isinstance(node.base, Operator)
        if is_named and isinstance(engine, OwnerTrackingEngine) and not engine.names_take_limits:
            node = replace(node, limits="\\nolimits")
        atom, box = method(engine, _with_slots(node, slots) if slots else node, style, state)
        return atom, owned(box, node)

    return with_owner


def _with_slots(node: Any, slots: dict[str, str]) -> Any:
    values = [
        Slot(slots[field], value) if field in slots and value is not None else value
        for field in node.__slots__
        for value in (getattr(node, field),)
    ]
    return type(node)(*values)


def _slot(engine: LayoutEngine, node: Slot, style: int, state: State) -> tuple[int, Box]:
    return ORD, owned(engine.node(node.body, style, state), node)
