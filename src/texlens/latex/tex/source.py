r"""A parsed formula printed for TeX, with a `\special` around each node that draws, so that ink maps back to nodes.

Only tokens of our own tables and letters reach TeX. Nothing of a formula's source is passed on, so `\input`,
`\write18`, `\csname` and `\catcode`, which the parser refuses, can't get through.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from texlens.core.errors import LatexError
from texlens.latex.canonical.matrices import name_of
from texlens.latex.canonical.synonyms import LETTERLIKE, SYNONYMS, TYPED
from texlens.latex.layout.engine import MU_SPACES
from texlens.latex.parse import nodes
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Node, Row

MOST_CHARACTERS, MOST_DEPTH = 200_000, 60  # TeX itself stops at 255 groups
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|[{}|#$%&_])")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-*/=<>()[]|.,:;!?@`\"'")
_FONTS = {"rm": "\\mathrm", "bf": "\\mathbf", "it": "\\mathit", "sf": "\\mathsf", "tt": "\\mathtt", "cal": "\\mathcal"}
_FONTS |= {"scr": "\\mathcal", "bb": "\\mathbb", "frak": "\\mathfrak", "normal": "\\mathnormal", "bold": "\\boldsymbol"}
_SWITCHES = {"rm": "\\rm", "bf": "\\bf", "it": "\\it", "sf": "\\sf", "tt": "\\tt", "cal": "\\cal"}
_TEXTS = {"rm": "\\textrm", "bf": "\\textbf", "it": "\\textit", "sf": "\\textsf", "tt": "\\texttt", "": "\\textrm"}
_IN_TEXT = {"#": "\\#", "$": "\\$", "%": "\\%", "&": "\\&", "_": "\\_", "{": "\\{", "}": "\\}", " ": "\\ "}
_IN_TEXT |= {"“": "``", "”": "''", "‘": "`", "’": "'", "–": "--", "—": "---", "\\": "\\textbackslash{}"}
_IN_TEXT |= {"~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
_ENVIRONMENTS = frozenset(
    ("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "cases", "aligned", "gathered")
)
_STYLES = {style: token for token, style in sym.STYLE_SWITCHES.items()}
_NO_INK = (nodes.Space, nodes.StyleChange, nodes.FontSwitch, nodes.Middle)
_DOTS = {"…": "\\ldots", "⋯": "\\cdots"}
_LIMITED = frozenset(["\\limits", "\\nolimits", "\\displaylimits"])


@dataclass
class Marked:
    """The owner of the ink after a special: a node, or (`fence`) a delimiter of the mark number `owner`."""

    node: Node | None
    owner: int | None = None
    fence: bool = False


class Piece(NamedTuple):
    """Printed code: what announces the ink, the code, what ends it. Scripts go before the end."""

    start: str
    code: str
    end: str

    @property
    def whole(self) -> str:
        return self.start + self.code + self.end


@dataclass
class Printer:
    """`marked` grows in the order in which our own layout places boxes: a node before what it contains."""

    marked: list[Marked] = field(default_factory=list)
    silent: int = 0
    """Over 0, nothing is announced: the ink belongs to what is around."""

    def row(self, items: Iterable[Node]) -> str:
        return " ".join(self.piece(item).whole for item in items)

    def body(self, node: Node | None) -> str:
        """An argument in braces."""
        if node is None:
            return "{}"
        return "{" + (self.row(node.items) if isinstance(node, Row) else self.piece(node).whole) + "}"

    def piece(self, node: Node) -> Piece:
        if isinstance(node, _NO_INK):
            return Piece("", _BARE[type(node)](self, node), "")
        printed = _PRINTED.get(type(node))
        if printed is None:
            raise LatexError(f"our TeX printer has no code for a {type(node).__name__.lower()}")
        if self.silent:
            return Piece("", printed(self, node, -1), "")
        number = len(self.marked)
        self.marked.append(Marked(node))
        code = printed(self, node, number)
        return Piece(f"\\special{{texlens:{number}}}", code, "\\special{texlens:}")

    def fence(self, owner: int, token: str) -> None:
        """A delimiter that draws, of the node of that number."""
        if not self.silent and sym.DELIMITERS.get(token, token) != "":
            self.marked.append(Marked(None, owner, fence=True))

    def apart(self) -> str:
        """What divides the ink of one node into what is before and what is after its content."""
        return "" if self.silent else "\\special{texlens:/}"


def marked_source(tree: Row) -> tuple[str, list[Marked]]:
    """TeX code, in ASCII, and whose ink the number in each special announces.

    Raises:
        LatexError: something in it is not for TeX (a character that its fonts lack, for instance).
    """
    printer = Printer()
    try:
        code = printer.row(tree.items)
    except RecursionError:
        raise LatexError("the formula is nested too deeply to be printed for TeX") from None
    if len(code) > MOST_CHARACTERS or _depth(code) > MOST_DEPTH:
        raise LatexError("the formula is too long or nested too deeply for TeX")
    return code, printer.marked


def _depth(code: str) -> int:
    deepest = depth = 0
    for character in code:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return deepest


def token(text: str) -> str:
    """A token of our tables under a name that LaTeX with amsmath knows.

    Raises:
        LatexError: there is none.
    """
    text = SYNONYMS.get(text, text)
    if text in LETTERLIKE:
        return "\\mathbb{" + LETTERLIKE[text] + "}"
    if text in _PLAIN:
        return text
    if text in TYPED:
        named, fonts = TYPED[text]
        if named in _PLAIN or _COMMAND.fullmatch(named):
            return "".join(f"{font}{{" for font in fonts) + named + "}" * len(fonts)
    if _COMMAND.fullmatch(text) and (text in sym.SYMBOLS or text in sym.DELIMITERS):
        return text
    raise LatexError(f"our TeX printer has no code for `{text}`")


def delimiter(text: str) -> str:
    return "." if sym.DELIMITERS.get(text, text) == "" else token({"<": "\\langle", ">": "\\rangle"}.get(text, text))


# Nodes that draw


def _row(printer: Printer, node: Row, number: int) -> str:
    return "{" + printer.row(node.items) + "}"


def _symbol(printer: Printer, node: nodes.Symbol, number: int) -> str:
    return _DOTS.get(node.character) or token(node.source)


def _scripts(printer: Printer, node: nodes.Scripts, number: int) -> str:
    base = Piece("", "{}", "") if node.base is None else printer.piece(node.base)
    sup = "" if node.sup is None else "^" + printer.body(node.sup)
    sub = "" if node.sub is None else "_" + printer.body(node.sub)
    code, limits = base.code, node.limits if node.limits in _LIMITED else ""
    is_operator = isinstance(node.base, nodes.Operator) or getattr(node.base, "atom", "") == "op"
    if limits and not is_operator:
        code, limits = (f"\\mathop{{{code}}}", limits) if limits == "\\limits" else (code, "")
    return f"{base.start}{code}{limits}{sub}{sup}{base.end}"


def _fraction(printer: Printer, node: nodes.Fraction, number: int) -> str:
    left, right = (side or "." for side in (node.left, node.right))
    printer.fence(number, left)
    above, below = printer.body(node.numerator), printer.body(node.denominator)
    printer.fence(number, right)
    sides = "".join("{" + ("" if side == "." else delimiter(side)) + "}" for side in (left, right))
    thickness = "" if node.has_rule else "0pt"
    if node.has_rule and node.thickness_em is not None:
        thickness = f"{node.thickness_em:.4f}em"
    style = "" if node.style is None else str(node.style // 2)
    apart = printer.apart()
    return f"\\genfrac{sides}{{{thickness}}}{{{style}}}{{{apart}{above}}}{{{below}{apart}}}"


def _radical(printer: Printer, node: nodes.Radical, number: int) -> str:
    degree = "" if node.degree is None else f"[{printer.body(node.degree)}]"
    return f"\\sqrt{degree}{printer.body(node.body)}"


def _delimited(printer: Printer, node: nodes.Delimited, number: int) -> str:
    printer.fence(number, node.left)
    parts = []
    for item in node.body.items:
        if isinstance(item, nodes.Middle):
            printer.fence(number, item.delimiter)
            parts.append(f"{printer.apart()}\\middle{delimiter(item.delimiter)}{printer.apart()}")
        else:
            parts.append(printer.piece(item).whole)
    printer.fence(number, node.right)
    inner = f"{printer.apart()}{' '.join(parts)}{printer.apart()}"
    return f"\\left{delimiter(node.left)}{inner}\\right{delimiter(node.right)}"


def _big(printer: Printer, node: nodes.Big, number: int) -> str:
    printer.fence(number, node.delimiter)
    return f"{node.source}{delimiter(node.delimiter)}"


def _accent(printer: Printer, node: nodes.Accent, number: int) -> str:
    source = SYNONYMS.get(node.source, node.source)
    if source not in _ACCENTS:
        raise LatexError(f"our TeX printer has no code for `{source}`")
    return source + printer.body(node.body)


def _stretch(printer: Printer, node: nodes.Stretch, number: int) -> str:
    if node.source not in _STRETCHES:
        raise LatexError(f"our TeX printer has no code for `{node.source}`")
    return node.source + printer.body(node.body)


def _stack(printer: Printer, node: nodes.Stack, number: int) -> str:
    base = printer.body(node.base)
    if node.over is not None and node.under is not None:
        raise LatexError(f"our TeX printer has no code for `{node.source}` with an option")
    over = None if node.over is None else printer.body(node.over)
    under = None if node.under is None else printer.body(node.under)
    name = "\\underset" if over is None else "\\stackrel" if node.source == "\\stackrel" else "\\overset"
    return f"{name}{under if over is None else over}{base}"


def _arrow(printer: Printer, node: nodes.Arrow, number: int) -> str:
    if node.source not in ("\\xrightarrow", "\\xleftarrow"):
        raise LatexError(f"our TeX printer has no code for `{node.source}`")
    over = printer.body(node.over)
    under = "" if node.under is None else f"[{printer.body(node.under)}]"
    return f"{node.source}{under}{over}"


def _font_change(printer: Printer, node: nodes.FontChange, number: int) -> str:
    if node.alphabet not in _FONTS:
        raise LatexError(f"our TeX printer has no code for `{node.source}`")
    return _FONTS[node.alphabet] + printer.body(node.body)


def _operator(printer: Printer, node: nodes.Operator, number: int) -> str:
    if node.body is not None:
        return f"\\mathop{printer.body(node.body)}" + ("" if node.limits else "\\nolimits")
    return f"\\operatorname{'*' if node.limits else ''}{{{_letters(node.name, {' ': chr(92) + ','})}}}"


def _classed(printer: Printer, node: nodes.Classed, number: int) -> str:
    return f"\\math{node.atom}{printer.body(node.body)}"


def _phantom(printer: Printer, node: nodes.Phantom, number: int) -> str:
    if node.source not in ("\\phantom", "\\hphantom", "\\vphantom", "\\smash"):
        raise LatexError(f"our TeX printer has no code for `{node.source}`")
    printer.silent += not node.visible
    body = printer.body(node.body)
    printer.silent -= not node.visible
    return node.source + body


def _boxed(printer: Printer, node: nodes.Boxed, number: int) -> str:
    return f"\\boxed{printer.body(node.body)}"


def _negated(printer: Printer, node: nodes.Negated, number: int) -> str:
    printer.silent += 1
    body = printer.body(node.body)
    printer.silent -= 1
    return "\\not" + (body[1:-1] if isinstance(node.body, nodes.Symbol) else body)


def _bar(printer: Printer, node: nodes.Bar, number: int) -> str:
    return f"\\rule[{node.raise_em:.4f}em]{{{node.width_em:.4f}em}}{{{node.height_em:.4f}em}}"


def _macro(printer: Printer, node: nodes.Macro, number: int) -> str:
    return f"{{{printer.row(node.expansion.items)}}}" if node.arguments else printer.row(node.expansion.items)


def _matrix(printer: Printer, node: nodes.Matrix, number: int) -> str:
    name = name_of(node)
    left, right, _, _ = sym.ENVIRONMENTS.get(name, ("", "", "", None))
    columns = ""
    if node.inserts or node.partial_lines or node.position or min(node.lines, default=0) < 0 or ":" in node.columns:
        raise LatexError(f"our TeX printer has no code for the rules or columns of this `{name}`")
    if name not in _ENVIRONMENTS:
        if name not in ("array", "eqnarray"):
            raise LatexError(f"our TeX printer has no code for the environment `{name}`")
        letters = "".join(letter for letter in node.columns if letter in "lcr|") or "c"
        count = max((len(row) for row in node.rows), default=1)
        letters += letters[-1].replace("|", "c") * max(0, count - len(letters.replace("|", "")))
        name, columns = "array", f"{{{letters}}}"
    printer.fence(number, left or ".")
    lines = ["\\hline " * node.lines.count(index) for index in range(len(node.rows) + 1)]
    rows = [
        line + "&".join(printer.apart() + printer.body(cell)[1:-1] + printer.apart() for cell in row)
        for line, row in zip(lines, node.rows, strict=False)
    ]
    if lines[-1]:
        rows.append(lines[-1])
    printer.fence(number, right or ".")
    gaps = {row: f"[{em:.4f}em]" for row, em in node.gaps}
    ends = [rf"\\{gaps.get(index, '')}" for index in range(len(rows) - 1)] + [""]
    body = "".join(row + end for row, end in zip(rows, ends, strict=True))
    return f"\\begin{{{name}}}{columns}{body}\\end{{{name}}}"


def _text(printer: Printer, node: nodes.Text, number: int) -> str:
    parts = []
    for part in node.parts:
        if isinstance(part, str):
            parts.append(_letters(part, _IN_TEXT))
        elif isinstance(part, nodes.Text):
            parts.append(_text(printer, part, number))
        elif isinstance(part, nodes.FontSwitch):
            raise LatexError(f"our TeX printer has no code for `{part.source}` in words")
        else:
            parts.append(f"${printer.row(part.items) if isinstance(part, Row) else printer.piece(part).whole}$")
    if node.alphabet not in _TEXTS:
        raise LatexError(f"our TeX printer has no code for `{node.source}`")
    words = f"{_TEXTS[node.alphabet]}{{{''.join(parts)}}}"
    return f"\\mbox{{{words}}}" if node.source in ("\\mbox", "\\hbox", "\\makebox") else words


def _letters(text: str, others: dict[str, str]) -> str:
    """Letters apart, so that TeX joins none of them."""
    out = []
    for letter in text:
        if letter in others:
            out.append(others[letter])
        elif letter in _PLAIN:
            out.append(letter + "{}")
        elif letter.isspace():
            out.append("\\ ")
        else:
            raise LatexError(f"our TeX printer has no code for the character {letter!r}")
    return "".join(out)


_ACCENTS = frozenset(
    (
        *("\\hat", "\\tilde", "\\bar", "\\vec", "\\dot", "\\ddot", "\\dddot", "\\ddddot", "\\check", "\\breve"),
        *("\\acute", "\\grave", "\\mathring", "\\widehat", "\\widetilde"),
    )
)
_STRETCHES = frozenset(
    (
        *("\\overline", "\\underline", "\\overbrace", "\\underbrace"),
        *(f"\\{side}{way}arrow" for side in ("over", "under") for way in ("left", "right", "leftright")),
    )
)
_PRINTED: dict[type, Callable[[Printer, Any, int], str]] = {
    Row: _row,
    nodes.Symbol: _symbol,
    nodes.Scripts: _scripts,
    nodes.Fraction: _fraction,
    nodes.Radical: _radical,
    nodes.Delimited: _delimited,
    nodes.Big: _big,
    nodes.Accent: _accent,
    nodes.Stretch: _stretch,
    nodes.Stack: _stack,
    nodes.Arrow: _arrow,
    nodes.FontChange: _font_change,
    nodes.Operator: _operator,
    nodes.Classed: _classed,
    nodes.Phantom: _phantom,
    nodes.Boxed: _boxed,
    nodes.Negated: _negated,
    nodes.Bar: _bar,
    nodes.Macro: _macro,
    nodes.Matrix: _matrix,
    nodes.Text: _text,
}


# Nodes that draw nothing themselves


def _space(printer: Printer, node: nodes.Space) -> str:
    return f"\\mkern{18 * node.width_em:.3f}mu " if node.source in MU_SPACES else f"\\kern{node.width_em:.4f}em "


def _style(printer: Printer, node: nodes.StyleChange) -> str:
    return _STYLES[node.style]


def _switch(printer: Printer, node: nodes.FontSwitch) -> str:
    if node.alphabet not in _SWITCHES:
        raise LatexError(f"our TeX printer has no code for `{node.source}`")
    return _SWITCHES[node.alphabet]


def _middle(printer: Printer, node: nodes.Middle) -> str:
    raise LatexError(r"`\middle` without `\left`")


_BARE: dict[type, Callable[[Printer, Any], str]] = {
    nodes.Space: _space,
    nodes.StyleChange: _style,
    nodes.FontSwitch: _switch,
    nodes.Middle: _middle,
}
