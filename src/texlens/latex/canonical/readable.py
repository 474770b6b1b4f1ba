r"""A model's LaTeX written as people write it: `\sin` for `\operatorname { s i n }`, spaces where they help the eye.

What is drawn stays what it is. Spacing outside of words never counts in math; a function gets its name only where the
layout of the whole formula stays the same, and a script loses its braces only around one letter or digit.
"""

from collections.abc import Sequence

from texlens.core.errors import LatexError
from texlens.latex.canonical.same_picture import is_same_layout
from texlens.latex.canonical.synonyms import FUNCTIONS, LIMIT_FUNCTIONS
from texlens.latex.layout.formula import layout
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.tokens import Token, scan, tokenize

_WORDS = frozenset(
    [
        r"\text",
        r"\mbox",
        r"\hbox",
        r"\makebox",
        r"\fbox",
        r"\framebox",
        r"\textrm",
        r"\textbf",
        r"\textit",
        r"\textsf",
        r"\texttt",
        r"\textsc",
        r"\textnormal",
        r"\textup",
        r"\raisebox",
        r"\tag",
        r"\label",
    ]
)
"""Commands after which white space counts."""
_NAMED = FUNCTIONS | LIMIT_FUNCTIONS
_SHIFT_EM = 1e-6
_LOOSE = frozenset(["rel", "bin"])
_NO_LEFT_OPERAND = frozenset(["rel", "bin", "open", "punct", "op"])
_PUNCTUATION = frozenset([",", ";"])
_OPENING = frozenset(["{", "(", "["])
_BEFORE_OPERAND = _OPENING | frozenset(["^", "_"])


def readable(formula: str) -> str:
    r"""The same picture, easier to read; any string comes back, at worst as it was.

    Example:
        readable(r"\operatorname { s i n } ^ { 2 } x = \frac { 1 } { 2 }") == r"\sin^2 x = \frac{1}{2}"
    """
    tokens = _joined_words(formula, scan(formula))
    plain = _spaced(tokens)
    if tokenize(plain) != tokenize(formula):
        return formula.strip()
    named = _with_names(tokens)
    if named != tokens and not _drawn_alike(plain, _spaced(named)):
        named = tokens
    return _spaced(_without_braces(named))


def _joined_words(formula: str, tokens: Sequence[Token]) -> list[str]:
    """The tokens' texts; a command's words, braces included, are one piece copied from the source."""
    texts: list[str] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        texts.append(token.text)
        i += 1
        if token.text not in _WORDS:
            continue
        opening = next((at for at in range(i, min(i + 12, len(tokens))) if tokens[at].text == "{"), None)
        closing = _closing([word.text for word in tokens], opening) if opening is not None else None
        if opening is not None and closing is not None:
            texts += [word.text for word in tokens[i:opening]]
            texts.append(formula[tokens[opening].start : tokens[closing].end])
            i = closing + 1
    return texts


def _closing(texts: Sequence[str], opening: int) -> int | None:
    depth = 0
    for index in range(opening, len(texts)):
        depth += (texts[index] == "{") - (texts[index] == "}")
        if depth == 0:
            return index
    return None


def _with_names(texts: list[str]) -> list[str]:
    r"""`\operatorname { s i n }`, `\mathop { \mathrm { l i m } }` → `\sin`, `\lim`."""
    out: list[str] = []
    i = 0
    while i < len(texts):
        name, end = _function(texts, i)
        out.append(texts[i] if name is None else "\\" + name)
        i = i + 1 if name is None else end
    return out


def _function(texts: Sequence[str], start: int) -> tuple[str | None, int]:
    """The function that is spelt out from `start` on, and where that ends."""
    if texts[start] not in ("\\operatorname", "\\operatornamewithlimits", "\\mathop"):
        return None, start
    i = start + 1
    i += i < len(texts) and texts[i] == "*"
    closing = _closing(texts, i) if i < len(texts) and texts[i] == "{" else None
    if closing is None:
        return None, start
    letters = [text for text in texts[i + 1 : closing] if text not in ("{", "}")]
    if letters and letters[0] in ("\\mathrm", "\\rm"):
        letters = letters[1:]
    name = "".join(letters)
    return (name, closing + 1) if name in _NAMED and all(len(letter) == 1 for letter in letters) else (None, start)


def _without_braces(texts: Sequence[str]) -> list[str]:
    """`x ^ { 2 }` → `x ^ 2`."""
    out: list[str] = []
    i = 0
    while i < len(texts):
        if (
            texts[i] in ("^", "_")
            and texts[i + 1 : i + 2] == ["{"]
            and texts[i + 3 : i + 4] == ["}"]
            and len(texts[i + 2]) == 1
            and texts[i + 2].isalnum()
            and texts[i + 2].isascii()
        ):
            out += [texts[i], texts[i + 2]]
            i += 4
            continue
        out.append(texts[i])
        i += 1
    return out


def _spaced(texts: Sequence[str]) -> str:
    """The tokens put together, with spaces where TeX needs them and around relations and operations."""
    parts: list[str] = []
    before, was_script, was_loose, kind_before = "", False, False, ""
    for text in texts:
        kind = _kind(text, before)
        is_loose = (kind in _LOOSE and not was_script and before not in _OPENING) or text in ("&", "\\\\")
        is_one_sign = kind == kind_before == "rel" and len(before) == len(text) == 1
        if parts and (
            ((is_loose or was_loose) and not is_one_sign and (before, text) != ("\\\\", "["))
            or _would_join(before, text)
            or before in _PUNCTUATION
            or (_is_script(parts, before) and text.isalnum() and text.isascii())
        ):
            parts.append(" ")
        parts.append(text)
        was_script, was_loose, before, kind_before = text in ("^", "_"), is_loose, text, kind
    return "".join(parts).strip()


def _is_script(parts: Sequence[str], before: str) -> bool:
    """Whether the token before is a script without braces; a digit after it would join it."""
    return len(parts) > 1 and parts[-2] in ("^", "_") and len(before) == 1 and before.isalnum()


def _would_join(before: str, text: str) -> bool:
    is_word = len(before) > 1 and before[0] == "\\" and before[-1].isalpha() and before[1].isalpha()
    return is_word and text[:1].isalpha()


def _kind(text: str, before: str) -> str:
    """`rel`, `bin` with something before it to work on, or another class."""
    kind = _class_of(text)
    if kind == "bin" and (not before or before in _BEFORE_OPERAND or _class_of(before) in _NO_LEFT_OPERAND):
        return "ord"
    return kind


def _class_of(text: str) -> str:
    if text in ("&", "\\\\"):
        return "open"
    entry = sym.SYMBOLS.get(text)
    if entry is not None:
        return entry[1]
    return sym.atom_of_character(text) if len(text) == 1 else "ord"


def _drawn_alike(first: str, second: str) -> bool:
    try:
        return is_same_layout(layout(first), layout(second), _SHIFT_EM, _SHIFT_EM)
    except (LatexError, RecursionError):
        return False
