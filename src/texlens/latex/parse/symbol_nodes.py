"""Tokens that are a node by themselves, and the sets of tokens that the grammar knows by name."""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Classed, FontSwitch, Macro, Node, Operator, Row, Space, StyleChange, Symbol
from texlens.latex.parse.unicode_characters import PRIMES as TYPED_PRIMES
from texlens.latex.parse.unicode_characters import SCRIPTS, SUBSCRIPTS

SYMBOL_NODES: dict[str, Node] = {token: Symbol(token, *entry) for token, entry in sym.SYMBOLS.items()}
SYMBOL_NODES |= {token: Space(token, width) for token, width in sym.SPACES.items()}
SYMBOL_NODES |= {token: StyleChange(token, style) for token, style in sym.STYLE_SWITCHES.items()}
SYMBOL_NODES |= {token: FontSwitch(token, alphabet) for token, alphabet in sym.FONT_SWITCHES.items()}
SYMBOL_NODES |= {token: Operator(token, token[1:], False) for token in sym.FUNCTIONS}
SYMBOL_NODES |= {token: Operator(token, name, True) for token, name in sym.LIMIT_FUNCTIONS.items()}
for _token in ("\\iff", "\\implies", "\\impliedby"):
    _thick = Space("\\;", 5 / 18)
    SYMBOL_NODES[_token] = Macro(_token, (), Row((_thick, SYMBOL_NODES[_token], _thick)))
del SYMBOL_NODES["\\dots"]  # depends on what follows
SYMBOL_NODES["\\bmod"] = Classed("\\bmod", Operator("\\bmod", "mod", False), "bin")

EMPTY = Row((), braced=True)
PRIME = Symbol("\\prime", "′", "ord")
PRIMES = {"'": 1, **TYPED_PRIMES}
LIMITS = ("\\limits", "\\nolimits", "\\displaylimits")
SCRIPT_TOKENS = frozenset(["^", "_", "\\sp", "\\sb", *LIMITS, *PRIMES, *SCRIPTS, *SUBSCRIPTS])
NEW_ROW = frozenset(["\\\\", "\\cr", "\\tabularnewline", "\\crcr"])
CELL_STOPS = NEW_ROW | {"&"}
LINES = frozenset(["\\hline", "\\toprule", "\\midrule", "\\bottomrule"])
DASHED_LINE = "\\hdashline"
PARTIAL_LINES = ("\\cline", "\\cmidrule", "\\cdashline")
BETWEEN_ROWS = LINES | {DASHED_LINE, *PARTIAL_LINES, "\\intertext", "\\shortintertext"}
DIVISIONS: dict[str, tuple[bool, str | None, str | None]] = {
    "\\over": (True, None, None),
    "\\atop": (False, None, None),
    "\\above": (True, None, None),
    "\\choose": (False, "(", ")"),
    "\\brace": (False, "\\{", "\\}"),
    "\\brack": (False, "[", "]"),
    "\\overwithdelims": (True, "?", "?"),
    "\\atopwithdelims": (False, "?", "?"),
    "\\abovewithdelims": (True, "?", "?"),
}
"""Command → (has a rule, left, right delimiter); `?` is read from the source."""
