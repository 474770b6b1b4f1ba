"""Text inside formulas: spaces count, and math is between dollars."""

import unicodedata
from collections.abc import Iterable

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.list_parser import MAX_DEPTH
from texlens.latex.parse.nodes import FontSwitch, Node, Row, Text
from texlens.latex.parse.recursive_descent import Parser
from texlens.latex.parse.symbol_nodes import SYMBOL_NODES


def text_parts(parser: Parser, closing: str) -> tuple[str | Node, ...]:
    """Strings and nodes up to `closing`, which is consumed; white space counts here."""
    opened = parser.i - 1
    parts = text_parts_until(parser, frozenset([closing]))
    if not parser.texts[parser.i]:
        raise parser.error("the text is never closed", opened)
    parser.i += 1
    return parts


def text_parts_until(parser: Parser, stops: frozenset[str]) -> tuple[str | Node, ...]:
    """Strings and nodes up to a token of `stops` or the end, which is left."""
    parser.depth += 1
    if parser.depth > MAX_DEPTH:
        raise parser.error(f"more than {MAX_DEPTH} levels of nesting")
    parts: list[str | Node] = []
    words: list[str] = []
    while parser.texts[parser.i] not in stops and parser.texts[parser.i]:
        words.append(_gap(parser))
        part = _text_token(parser)
        if isinstance(part, str):
            words.append(part)
        elif part is not None:
            parts += (_typeset_words(words), part)
            words = []
    words.append(_gap(parser))
    parser.depth -= 1
    return tuple(part for part in (*parts, _typeset_words(words)) if part != "")


def text_argument(parser: Parser, command: str) -> tuple[str | Node, ...]:
    r"""The argument of a text command: a group in braces, or the next token (`\textbf q`)."""
    if parser.texts[parser.i] == "{":
        parser.i += 1
        return text_parts(parser, "}")
    if parser.texts[parser.i] in ("", "}", "&", "^", "_", "\\\\", "\\right") or parser.texts[parser.i].startswith(
        "\\end{"
    ):
        raise parser.error(f"`{command}` lacks its argument")
    part = _text_token(parser)
    return () if part is None else (_typeset_words([part]) if isinstance(part, str) else part,)


def _gap(parser: Parser) -> str:
    """A space where the source has white space before the next token that TeX would keep."""
    if not 0 < parser.i < len(parser.tokens):
        return ""
    before, here = parser.tokens[parser.i - 1], parser.tokens[parser.i]
    if before.end == here.start or (before.text[0] == "\\" and before.text[-1].isalpha()):
        return ""
    return " " if any(character.isspace() for character in parser.formula[before.end : here.start]) else ""


def _text_token(parser: Parser) -> str | Node | None:
    text = parser.texts[parser.i]
    if text == "$" or text == "\\(":
        return _math_in_text(parser, "$" if text == "$" else "\\)")
    if text == "{":
        parser.i += 1
        return Text("{", text_parts(parser, "}"), "")
    if text == "}":
        raise parser.error("`}` closes nothing that is open; remove it, or add its `{`")
    if text in sym.FONT_SWITCHES:
        parser.i += 1
        return FontSwitch(text, sym.FONT_SWITCHES[text])
    if text in sym.TEXT_ACCENTS:
        return _text_accent(parser)
    if text in ("~", "\\ ", "\\space", "\\\\"):
        parser.i += 1
        return " "
    if len(text) == 1 and text.isprintable():
        parser.i += 1
        return text
    if text in sym.SYMBOLS and sym.SYMBOLS[text][1] != "op":
        parser.i += 1
        return sym.SYMBOLS[text][0]
    if text in SYMBOL_NODES:
        parser.i += 1
        return SYMBOL_NODES[text]
    return parser.command(text)


def _text_accent(parser: Parser) -> str:
    mark = sym.TEXT_ACCENTS[parser.texts[parser.i]]
    parser.i += 1
    letter = parser.raw("accent").strip() or " "
    return unicodedata.normalize("NFC", letter[0] + mark) + letter[1:]


def _math_in_text(parser: Parser, closing: str) -> Node:
    opened = parser.i
    parser.i += 1
    items = parser.items(frozenset([closing]))
    if parser.texts[parser.i] != closing:
        raise parser.error("math in text is never closed", opened)
    parser.i += 1
    return Row(tuple(items))


def _typeset_words(words: Iterable[str]) -> str:
    joined = "".join(words)
    for typed, printed in (("---", "—"), ("--", "–"), ("``", "“"), ("''", "”"), ("`", "‘"), ("'", "’")):
        joined = joined.replace(typed, printed)
    return joined
