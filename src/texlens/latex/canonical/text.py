r"""Words, boxes and bars in canonical form: letters in math where these draw the same, else `\text {…}`."""

from collections.abc import Sequence
from typing import Any

from texlens.latex.canonical.canonicalizer import PLAIN, Canonicalizer, braced
from texlens.latex.canonical.items import Item, Unit, space
from texlens.latex.canonical.printing import group, scale_of, space_tokens, spell
from texlens.latex.canonical.synonyms import TYPED, font_of
from texlens.latex.layout.engine import State, changed
from texlens.latex.layout.formula import TEXT_SIZED
from texlens.latex.layout.spacing import CLASS, CLOSE, OPEN, ORD
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.alphabets import text_font
from texlens.latex.parse.nodes import Bar, Boxed, FontSwitch, Negated, Node, Raised, Row, SizedBox, Space, Symbol, Text

_TEXT_NAMES = {"bf": "\\textbf", "it": "\\textit", "sf": "\\textsf", "tt": "\\texttt"}
_ESCAPES = {character: "\\" + character for character in "{}$&#%_"}
_ESCAPES |= {"\\": "\\textbackslash ", "^": "\\textasciicircum ", "~": "\\textasciitilde "}


def canonical_text(
    canonicalizer: Canonicalizer, node: Text, style: int, state: State, loose: bool
) -> Unit | list[Unit]:
    math_state: State = ("", state[1])
    if node.source in TEXT_SIZED and style >= 4:
        return Item(("\\mbox", _text_piece(canonicalizer, node.parts, "rm", math_state)), ORD)
    inner = None if node.source == "\\textsc" else _words(canonicalizer, node, style, "rm", math_state)
    if inner is None:
        font = text_font("rm", node.source)
        name = "\\textsc" if node.source == "\\textsc" else "\\text"
        return Item((name, _in_font("rm", font, _text_parts(canonicalizer, node.parts, font, math_state))), ORD)
    return braced(inner, style)


def _words(canonicalizer: Canonicalizer, node: Text, style: int, font: str, math_state: State) -> list[Item] | None:
    """Text as letters in math, where that draws the same; else None."""
    font = text_font(font, node.source)
    items: list[Item] = []
    for part in node.parts:
        if isinstance(part, str):
            for letter in part:
                item = _text_letter(letter, (font, False), style)
                if item is None:
                    return None
                items.append(item)
        elif isinstance(part, FontSwitch):
            if part.alphabet in ("bold", "unbold"):
                math_state = changed(math_state, part.alphabet)
            else:
                font = text_font(font, part.source)
        elif isinstance(part, Space):
            items.append(space(part.width_em))
        elif isinstance(part, Row | Symbol):
            nodes = part.items if isinstance(part, Row) else (part,)
            if not all(_is_simple(node) for node in nodes):
                return None
            items += canonicalizer.items(nodes, max(style, 2), math_state, False)
        elif isinstance(part, Text) and part.source not in (*TEXT_SIZED, "\\textsc"):
            more = _words(canonicalizer, part, style, font, math_state)
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


def _text_piece(canonicalizer: Canonicalizer, parts: Sequence[Any], font: str, math_state: State) -> str:
    """Words in braces with their spaces written out, since white space between tokens counts there."""
    return "{" + _text_parts(canonicalizer, parts, font, math_state) + "}"


def _text_parts(canonicalizer: Canonicalizer, parts: Sequence[Any], font: str, math_state: State) -> str:
    """Each piece under the commands of its font, so that switches need not be written."""
    out: list[str] = []
    outer = font
    for part in parts:
        if isinstance(part, FontSwitch):
            if part.alphabet in ("bold", "unbold"):
                math_state = changed(math_state, part.alphabet)
            else:
                font = text_font(font, part.source)
        elif isinstance(part, str):
            text = "".join("~" if letter.isspace() else _ESCAPES.get(letter, letter) for letter in part)
            out.append(text if font == outer else _in_font(outer, font, text)[1:-1])
        elif isinstance(part, Text):
            inner = text_font(font, part.source)
            body = _text_parts(canonicalizer, part.parts, inner, math_state)
            if part.source in ("\\textsc", *TEXT_SIZED):
                out.append(part.source + _in_font(outer, inner, body))
            else:
                out.append(_in_font(outer, inner, body)[1:-1])
        elif isinstance(part, Space):
            tokens = space_tokens(part.width_em, 2)
            out.append("".join("~" if token == "\\ " else token + " " * token[-1].isalpha() for token in tokens))
        else:
            nodes = part.items if isinstance(part, Row) else (part,)
            tokens = spell(canonicalizer.items(nodes, 2, math_state, False), 2)
            out.append("$" + " ".join(tokens) + "$" if tokens else "")
    return "".join(out)


def _in_font(outer: str, font: str, text: str) -> str:
    r"""Words in braces, with the commands that lead from one font to another: `{\textbf{\textit{…}}}`."""
    if font == outer:
        return "{" + text + "}"
    commands = []
    if outer.startswith("bf") and not font.startswith("bf"):
        commands.append("\\textmd")
    if outer.endswith("it") and not font.endswith("it"):
        commands.append("\\textup")
    if ("sf" in outer and "sf" not in font) or (outer == "tt" and font != "tt"):
        commands.append("\\textrm")
    for name in ("bf", "sf", "tt", "it"):
        if name in font and name not in outer:
            commands.append(_TEXT_NAMES[name])
    for command in reversed(commands):
        text = command + "{" + text + "}"
    return "{" + text + "}"


# Boxes and bars


def canonical_boxed(canonicalizer: Canonicalizer, node: Boxed, style: int, state: State, loose: bool) -> Unit:
    if node.source == "\\boxed":
        return Item(group(("\\boxed",), canonicalizer.spelt(node.body, style, state, loose)), ORD)
    if isinstance(node.body, Text):
        return Item(("\\fbox", _text_piece(canonicalizer, node.body.parts, "rm", PLAIN)), ORD)
    if isinstance(node.body, SizedBox):
        return Item(("\\framebox", *_size(node.body), _text_body(canonicalizer, node.body.body)), ORD)
    return Item(("\\fbox", _text_body(canonicalizer, node.body)), ORD)


def canonical_sized_box(canonicalizer: Canonicalizer, node: SizedBox, style: int, state: State, loose: bool) -> Unit:
    return Item(("\\makebox", *_size(node), _text_body(canonicalizer, node.body)), ORD)


def _size(node: SizedBox) -> tuple[str, str]:
    return f"[{_length(node.width_em)}em]", f"[{node.align}]"


def _text_body(canonicalizer: Canonicalizer, body: Node) -> str:
    if isinstance(body, Text):
        return _text_piece(canonicalizer, body.parts, "rm", PLAIN)
    return "{$" + " ".join(canonicalizer.spelt(body, 2, PLAIN, False)) + "$}"


def canonical_raised(canonicalizer: Canonicalizer, node: Raised, style: int, state: State, loose: bool) -> Unit:
    shift = _length(node.shift_em)
    if node.source == "\\raisebox" and isinstance(node.body, Text):
        words = _text_piece(canonicalizer, node.body.parts, "rm", ("", state[1]))
        return Item(("\\raisebox", "{" + shift + "em}", words), ORD)
    body = canonicalizer.spelt(node.body, style, state, False)
    return Item(group(("\\raise", shift + "em"), body), ORD)


def canonical_tag(canonicalizer: Canonicalizer, words: Text) -> Item:
    return Item(("\\tag", "*", _text_piece(canonicalizer, words.parts, "rm", PLAIN)), ORD, (), False, False)


def canonical_intertext(canonicalizer: Canonicalizer, words: Text) -> tuple[str, ...]:
    return "\\intertext", _text_piece(canonicalizer, words.parts, "rm", PLAIN)


def canonical_bar(canonicalizer: Canonicalizer, node: Bar, style: int, state: State, loose: bool) -> Unit:
    width, height, lift = (f"{em:.3f}em" for em in (node.width_em, node.height_em, node.raise_em))
    lifted = ("[" + lift + "]",) if node.raise_em else ()
    return Item(("\\rule", *lifted, "{" + width + "}", "{" + height + "}"), ORD)


def _length(em: float) -> str:
    text = f"{em:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
