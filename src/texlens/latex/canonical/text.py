r"""Words, boxes and bars in canonical form: letters in math where these draw the same, else `\text {…}`."""

from collections.abc import Sequence
from typing import Any

from texlens.latex.canonical.canonicalizer import PLAIN, Canonicalizer, braced
from texlens.latex.canonical.items import Item, Unit, space
from texlens.latex.canonical.printing import group, scale_of, space_tokens, spell
from texlens.latex.canonical.synonyms import TYPED, font_of
from texlens.latex.layout.engine import State, changed
from texlens.latex.layout.spacing import CLASS, CLOSE, OPEN, ORD
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Bar, Boxed, FontSwitch, Negated, Node, Raised, Row, Space, Symbol, Text

_TEXT_SIZED = frozenset(["\\mbox", "\\hbox", "\\makebox"])
_TEXT_NAMES = {
    ("bf", False): "\\textbf",
    ("it", False): "\\textit",
    ("sf", False): "\\textsf",
    ("tt", False): "\\texttt",
}
_ESCAPES = {character: "\\" + character for character in "{}$&#%_"}
_ESCAPES |= {"\\": "\\textbackslash ", "^": "\\textasciicircum ", "~": "\\textasciitilde "}


def canonical_text(
    canonicalizer: Canonicalizer, node: Text, style: int, state: State, loose: bool
) -> Unit | list[Unit]:
    is_text_sized = node.source in _TEXT_SIZED
    if is_text_sized and style >= 4:
        return Item(("\\mbox", _text_piece(canonicalizer, node.parts)), ORD)
    inner_state = changed(("rm", False) if is_text_sized or state[0] == "" else state, node.alphabet)
    inner = _words(canonicalizer, node.parts, style, inner_state)
    if inner is None or (inner and node.source == "\\textsc"):
        name = _TEXT_NAMES.get(inner_state, "\\text") if node.source != "\\textsc" else "\\textsc"
        return Item((name, _text_piece(canonicalizer, node.parts)), ORD)
    return braced(inner, style)


def _words(canonicalizer: Canonicalizer, parts: Sequence[Any], style: int, state: State) -> list[Item] | None:
    """Text as letters in math, where that draws the same; else None."""
    items: list[Item] = []
    for part in parts:
        if isinstance(part, str):
            for letter in part:
                made = _text_letter(letter, state, style)
                if made is None:
                    return None
                items.append(made)
        elif isinstance(part, FontSwitch):
            state = changed(state, part.alphabet)
        elif isinstance(part, Space):
            items.append(space(part.width_em))
        elif isinstance(part, Row | Symbol):
            nodes = part.items if isinstance(part, Row) else (part,)
            if not all(_is_simple(node) for node in nodes):
                return None
            items += canonicalizer.items(nodes, max(style, 2), PLAIN, False)
        elif isinstance(part, Text) and part.source not in (*_TEXT_SIZED, "\\textsc"):
            more = _words(canonicalizer, part.parts, style, changed(state, part.alphabet))
            if more is None:
                return None
            items += more
        else:
            return None
    return items


def _is_simple(node: Node) -> bool:
    """A symbol that looks the same in text style as in display style."""
    body = node.body if isinstance(node, Negated) else node
    return isinstance(body, Symbol) and body.atom != "op"


def _text_letter(letter: str, state: State, style: int) -> Item | None:
    if letter.isspace():
        return space(scale_of(style) / 3)
    if (letter.isascii() and letter.isalnum()) or letter in "./":
        return Item((letter,), ORD, font_of(letter, *state), True)
    if letter in ",;":
        return Item((letter,), CLASS["punct"], (), True, False)
    if letter in "()[]":
        return Item((letter,), OPEN if letter in "([" else CLOSE, (), True, False)
    if letter in TYPED:
        token, font = TYPED[letter]
        entry = sym.SYMBOLS.get(token)
        return Item((token,), ORD, font or font_of(letter, *state), True) if entry and entry[1] == "ord" else None
    if not letter.isascii() and letter.isalpha() and sym.atom_of_character(letter) == "ord":
        return Item((letter,), ORD, font_of(letter, *state), True)
    return None


# Words that stay words


def _text_piece(canonicalizer: Canonicalizer, parts: Sequence[Any]) -> str:
    """Words in braces with their spaces written out, since white space between tokens counts there."""
    return "{" + "".join(_text_part(canonicalizer, part) for part in parts) + "}"


def _text_part(canonicalizer: Canonicalizer, part: Any) -> str:
    if isinstance(part, str):
        return "".join("~" if letter.isspace() else _ESCAPES.get(letter, letter) for letter in part)
    if isinstance(part, Text):
        name = "" if part.source == "{" else part.source
        return name + _text_piece(canonicalizer, part.parts)
    if isinstance(part, Space):
        return "".join(
            "~" if token == "\\ " else token + " " * token[-1].isalpha() for token in space_tokens(part.width_em, 2)
        )
    if isinstance(part, FontSwitch):
        return part.source + " "
    nodes = part.items if isinstance(part, Row) else (part,)
    tokens = spell(canonicalizer.items(nodes, 2, PLAIN, False), 2)
    return "$" + " ".join(tokens) + "$" if tokens else ""


# Boxes and bars


def canonical_boxed(canonicalizer: Canonicalizer, node: Boxed, style: int, state: State, loose: bool) -> Unit:
    if node.source == "\\boxed":
        return Item(group(("\\boxed",), canonicalizer.spelt(node.body, style, state, loose)), ORD)
    if isinstance(node.body, Text):
        return Item(("\\fbox", _text_piece(canonicalizer, node.body.parts)), ORD)
    return Item(("\\fbox", "{$" + " ".join(canonicalizer.spelt(node.body, 2, state, loose)) + "$}"), ORD)


def canonical_raised(canonicalizer: Canonicalizer, node: Raised, style: int, state: State, loose: bool) -> Unit:
    shift = f"{node.shift_em:.3f}".rstrip("0").rstrip(".") or "0"
    if node.source == "\\raisebox" and isinstance(node.body, Text):
        return Item(("\\raisebox", "{" + shift + "em}", _text_piece(canonicalizer, node.body.parts)), ORD)
    body = canonicalizer.spelt(node.body, style, state, False)
    return Item(group(("\\raise", shift.replace("-0", "0") + "em" if shift == "-0" else shift + "em"), body), ORD)


def canonical_bar(canonicalizer: Canonicalizer, node: Bar, style: int, state: State, loose: bool) -> Unit:
    width, height, lift = (f"{em:.3f}em" for em in (node.width_em, node.height_em, node.raise_em))
    lifted = ("[" + lift + "]",) if node.raise_em else ()
    return Item(("\\rule", *lifted, "{" + width + "}", "{" + height + "}"), ORD)
