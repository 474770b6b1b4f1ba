r"""From a formula's tree to units of canonical form: rows, and what every type of node needs.

`style` is TeX's, as in layout. `state` is the font in force. `loose` says whether a script may move up or down by a
fifth of an em, as it does between `\left( x \right) ^ 2` and `( x ) ^ 2`: not within what grows with its body, where
a change of height would change sizes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from texlens.latex.canonical.items import Choice, Item, Unit, assemble, space, style_item
from texlens.latex.canonical.printing import scale_of, spell
from texlens.latex.canonical.synonyms import DOTS, LETTERLIKE, RECLASSED, SYNONYMS, TYPED, font_of
from texlens.latex.layout.engine import State, changed
from texlens.latex.layout.natural_delimiters import Fences
from texlens.latex.layout.spacing import CLASS, INNER, ORD
from texlens.latex.parse.nodes import FontSwitch, Node, Row, Space, StyleChange, Symbol

PLAIN: State = ("", False)
_MU_SPACES = frozenset(
    ["\\,", "\\:", "\\;", "\\!", "\\>", "\\mkern", "\\mskip", "\\mspace", "\\thickspace", "\\medspace"]
)
_LOW, _CENTERED = (Item((token,), INNER, (), True, False) for token in ("\\ldots", "\\cdots"))


class Canonicalizer:
    """Units of one formula's nodes; `methods` maps each type of node to the function that writes it."""

    __slots__ = ("fences", "kept", "methods")

    def __init__(self, tree: Row, methods: Mapping[type, "Method"]):
        self.fences = Fences(tree)
        self.methods = methods
        self.kept: list[Item] = []

    def units(self, nodes: Sequence[Node], style: int, state: State, loose: bool) -> list[Unit]:
        units: list[Unit] = []
        wanted_style = here = style
        for node in nodes:
            if isinstance(node, Space):
                scale = scale_of(here) if node.source in _MU_SPACES else 1.0
                if node.width_em:
                    units.append(space(node.width_em * scale))
            elif isinstance(node, FontSwitch):
                state = changed(state, node.alphabet)
            elif isinstance(node, StyleChange):
                wanted_style = node.style | (style & 1)
            else:
                if wanted_style != here:
                    here = wanted_style
                    units.append(style_item(here))
                if isinstance(node, Symbol):
                    units.append(canonical_symbol(node, state))
                else:
                    converted = self.methods[type(node)](self, node, here, state, loose)
                    if isinstance(converted, list):
                        units += converted
                    else:
                        units.append(converted)
        return units

    def items(self, nodes: Sequence[Node], style: int, state: State, loose: bool) -> list[Item]:
        return self.assembled(self.units(nodes, style, state, loose), style)

    def assembled(self, units: Sequence[Unit], style: int) -> list[Item]:
        return assemble(units, style, self.kept)

    def body(self, node: Node | None, style: int, state: State, loose: bool) -> list[Item]:
        """The items of an argument, without the braces around it."""
        return self.assembled(self.units(_content(node), style, state, loose), style)

    def spelt(self, node: Node | None, style: int, state: State, loose: bool) -> tuple[str, ...]:
        """Its tokens; few calls deep, since formulas may be 150 levels deep."""
        return spell(self.assembled(self.units(_content(node), style, state, loose), style), style)


Method = Callable[[Canonicalizer, Any, int, State, bool], Unit | list[Unit]]


def _content(node: Node | None) -> Sequence[Node]:
    nodes: Sequence[Node] = node.items if isinstance(node, Row) else () if node is None else (node,)
    while len(nodes) == 1 and isinstance(nodes[0], Row):
        nodes = nodes[0].items
    return nodes


@lru_cache(maxsize=50_000)
def canonical_symbol(node: Symbol, state: State) -> Unit:
    """A symbol under its canonical name and font."""
    token, atom = SYNONYMS.get(node.source, node.source), CLASS[node.atom]
    if token == DOTS:
        return _CENTERED if node.character == "⋯" else _LOW
    if token in LETTERLIKE:
        return Item((LETTERLIKE[token],), ORD, ("\\mathbb",), True)
    if not token.isascii() and token in TYPED:
        token, font = TYPED[token]
        font = font or font_of(node.character, *state)
    else:
        font = () if node.atom == "op" else font_of(node.character, *state)
    item = Item((token,), atom, font, node.atom != "op", node.atom == "ord")
    other = RECLASSED.get(token)
    if other is not None and not font:
        return Choice((Item((other,), ORD, (), True),), item)
    return item


def braced(inner: list[Item], style: int) -> Unit:
    """A group: its items as they are where the gaps allow it, else in braces."""
    return Choice(tuple(inner), Item(("{", *spell(inner, style), "}"), ORD, (), False, False), True)
