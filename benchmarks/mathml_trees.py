"""MathML as a tree of what is shown, so that the output of different programs can be compared.

A tree is a tuple of items side by side. An item is a `Leaf` or a tuple of a name and trees:

    ("frac", above, below)   ("stack", above, below): no rule between   ("root", body, degree)
    ("script", base, sub, sup)   ("limits", base, under, over)   ("table", row, …), a row being a tuple of trees
    ("box", kind, body)   ("prescripts", base, …)   ("hidden", body)

Rows, spaces and styles leave no item; function names and numbers are one leaf a character.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element


class Leaf(NamedTuple):
    """A character and the font that it is in."""

    character: str
    font: str


Tree = tuple[Any, ...]

_SAME = {"⟂": "⊥", "”": '"', "−": "-", "∗": "*", "∣": "|", "‖": "∥", "′": "'", "⋅": "·", "ϕ": "φ", "ϵ": "ε", "∶": ":"}
_SAME |= {"…": "...", "⋯": "···", "⟮": "(", "⟯": ")", "⦅": "(", "⦆": ")", "ı": "i", "ȷ": "j", "𝚤": "i", "𝚥": "j"}
_SAME |= {"〈": "⟨", "〉": "⟩", "◻": "□", "▫": "□", "″": "''", "‴": "'''", "⁗": "''''", "⧸": "\u0338", "∖": "\\"}
_SAME |= {"◼": "■", "▹": "▷", "≔": ":=", "≕": "=:"}
"""Characters that programs use for one thing."""
_ACCENTS = (
    dict.fromkeys("‾ˉ_―–−\u0304\u0305\u0331", "¯") | dict.fromkeys("˙\u0307\u0323", ".") | dict.fromkeys("⏜⌢", "⏜")
)
_ACCENTS |= {
    "\u0306": "˘",
    "˘": "˘",
    "\u030c": "ˇ",
    "ˇ": "ˇ",
    "ˊ": "'",
    "´": "'",
    "\u0301": "'",
    "ˋ": "`",
    "\u0300": "`",
}
_ACCENTS |= {"˚": "˚", "\u030a": "˚", "\u20d7": "→", "˜": "~", "\u0303": "~", "ˆ": "^", "\u0302": "^", "¨": '"'}
_ACCENTS |= {"\u0308": '"', "\u20db": "...", "\u20dc": "....", "¸": "¸", "\u0327": "¸", "\u030b": "''"}
"""The same among accents."""
_FONT_WORDS = re.compile(
    r"(?:MATHEMATICAL )?(.*?) ?(?:CAPITAL|SMALL|DIGIT|EPSILON|THETA|KAPPA|PHI|RHO|PI|PARTIAL|NABLA)\b"
)
_FONTS = {"-tex-calligraphic": "script", "-tex-mathit": "italic", "-tex-bold-calligraphic": "bold script"}
_FONTS |= {"bold-italic": "bold italic", "bold-script": "bold script", "bold-fraktur": "bold fraktur"}
_FONTS |= {"bold-sans-serif": "sans-serif bold", "sans-serif-italic": "sans-serif italic"}
_FONTS |= {"sans-serif-bold-italic": "sans-serif bold italic", "black-letter": "fraktur"}
_COMBINING = frozenset(mark for mark in _ACCENTS if unicodedata.combining(mark))
_STROKE = "\u0338"
_INVISIBLE = frozenset("\u2061\u2062\u2063\u2064\u200b")
_FLAT = frozenset(["math", "mrow", "mstyle", "mpadded", "TeXAtom", "mtd", "merror"])
_TOKENS = frozenset(["mi", "mn", "mo", "mtext", "ms"])
_MOVING = frozenset("∑∏∐⋀⋁⋂⋃⨀⨁⨂⨃⨄⨅⨆⨉")
_WITHOUT_INK = frozenset(["mspace", "none", "malignmark", "maligngroup", "mprescripts"])


def tree_of(mathml: str) -> Tree:
    """The tree of a `<math>` element within a text."""
    start, end = mathml.index("<math"), mathml.rindex("</math>") + len("</math>")
    root = ElementTree.fromstring(mathml[start:end].replace("&nbsp;", "&#160;"))
    return _row(root, _Context())


def without_fonts(tree: Tree) -> Tree:
    return tuple(
        Leaf(item.character, "") if isinstance(item, Leaf) else without_fonts(item) if isinstance(item, tuple) else item
        for item in tree
    )


def leaves(tree: Tree) -> Iterator[Leaf]:
    """The leaves in order."""
    for item in tree:
        if isinstance(item, Leaf):
            yield item
        elif isinstance(item, tuple):
            yield from leaves(item)


def letters(tree: Tree) -> str:
    return "".join(leaf.character for leaf in leaves(tree))


def counts(tree: Tree) -> Counter[str]:
    """How often each kind of item occurs."""
    total: Counter[str] = Counter()
    for item in tree:
        if isinstance(item, tuple) and not isinstance(item, Leaf):
            if item and isinstance(item[0], str):
                total[item[0]] += 1
            total += counts(item)
    return total


# Elements to items


class _Context(NamedTuple):
    """Whether elements are in display style, as MathML inherits it."""

    display: bool = True


def _row(element: Element, context: _Context) -> Tree:
    context = _within(element, context)
    lines: list[list[Any]] = [[]]
    for child in element:
        if _tag(child) == "mspace" and child.get("linebreak") == "newline":
            lines.append([])
        else:
            lines[-1] += _items(child, context)
    if len(lines) == 1:
        return tuple(lines[0])
    while lines and not lines[-1]:
        lines.pop()
    rows = (((tuple(line),) if line else ()) for line in lines)
    return (("table", *rows),) if len(lines) > 1 else tuple(lines[0]) if lines else ()


def _within(element: Element, context: _Context) -> _Context:
    shown = element.get("displaystyle")
    return context if shown is None else _Context(shown == "true")


def _tag(element: Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _items(element: Element, context: _Context) -> Tree:
    tag = _tag(element)
    if tag in _TOKENS and not len(element):
        return tuple(_leaves(element, tag))
    if tag in _FLAT or tag in _TOKENS:  # KaTeX writes elements within `mi` and `mo`
        return _row(element, context)
    if tag == "mspace" and element.get("mathbackground") and _is_wide(element.get("width")):
        return (("rule",),)
    if tag in _WITHOUT_INK or tag.startswith("annotation"):
        return ()
    if tag == "semantics":
        return _items(element[0], context)
    return _STRUCTURES[tag](element, context)


def _is_wide(length: str | None) -> bool:
    return any(digit in (length or "") for digit in "123456789")


def _leaves(element: Element, tag: str) -> list[Any]:
    text = unicodedata.normalize("NFC", (element.text or "").strip())
    variant = element.get("mathvariant")
    default = "italic" if tag == "mi" and len(text) == 1 else "normal"
    font = _FONTS.get(variant, variant) if variant else None
    out: list[Any] = []
    for character in text:
        character_font = _font_of(character) or font or default
        for letter in _decomposed(character):
            letter = _SAME.get(letter, letter)
            if letter in _COMBINING and out:
                out[-1] = ("limits", (out[-1],), (), (Leaf(_ACCENTS[letter], ""),))
            elif not letter.isspace() and (letter.isprintable() or letter == _STROKE) and letter not in _INVISIBLE:
                out.append(Leaf(letter, character_font if letter.isalnum() and letter.isascii() else ""))
    return out


def _decomposed(character: str) -> str:
    """Letters as plain ones with their accents; what is struck out after the stroke."""
    parts = unicodedata.normalize("NFD", character)
    if _STROKE in parts and len(parts) > 1:
        return _STROKE + parts.replace(_STROKE, "")
    is_letter = character.isalnum() or 0x1D400 <= ord(character) <= 0x1D7FF
    return unicodedata.normalize("NFKD", character) if is_letter else _SAME.get(character, character)


def _font_of(character: str) -> str | None:
    """The font of a mathematical letter (`𝐱`, `ℝ`); None for a plain one."""
    if character == "ℎ":
        return "italic"
    if not (0x1D400 <= ord(character) <= 0x1D7FF or 0x2100 <= ord(character) <= 0x214F):
        return None
    name = _FONT_WORDS.match(unicodedata.name(character, ""))
    font = name[1].lower() if name else ""
    return _FONTS.get(font, font) or None


def _parts(element: Element) -> list[Element]:
    """The children that have a place: KaTeX puts the invisible "apply" operator between."""
    return [child for child in element if not (_tag(child) == "mo" and (child.text or "") == "\u2061")]


_EMPTY = Element("mrow")


def _fraction(element: Element, context: _Context) -> Tree:
    has_rule = (element.get("linethickness") or "1").strip("0.pxemt ") != ""
    above, below = (_items(part, _Context(False)) for part in _parts(element))
    return (("frac" if has_rule else "stack", above, below),)


def _script(element: Element, context: _Context) -> Tree:
    tag = _tag(element)
    base_element, first, second = (*_parts(element), _EMPTY)[:3]
    base = _items(base_element, context)
    is_limit = tag.startswith(("munder", "mover"))
    if is_limit and not context.display and _moves(base_element):
        is_limit = False
    below, above = (_mark(part) if is_limit else _items(part, _Context(False)) for part in (first, second))
    if tag in ("msup", "mover"):
        below, above = (), below
    elif tag in ("msub", "munder"):
        above = ()
    if not below and not above:
        return base
    before: Tree = ()
    if not is_limit and _tag(base_element) == "mn" and len(base) > 1:  # KaTeX takes a whole number as base
        before, base = base[:-1], base[-1:]
    return (*before, ("limits" if is_limit else "script", base, below, above))


def _moves(base: Element) -> bool:
    """Whether limits of an operator move to the side in text style: the operator dictionary of MathML Core."""
    operators = [part for part in base.iter() if _tag(part) == "mo"]
    if len(operators) != 1:
        return False
    moves = operators[0].get("movablelimits")
    return moves == "true" or (moves is None and (operators[0].text or "").strip() in _MOVING)


def _mark(element: Element) -> Tree:
    """What is over or under a base: accents whichever character a program takes for them."""
    text = "".join(element.itertext()).strip()
    mark = text if len(text) == 1 else unicodedata.normalize("NFKD", text).strip()
    if _tag(element) == "mo" and mark in _ACCENTS:
        return tuple(Leaf(dot, "") for dot in _ACCENTS[mark]) if "." in _ACCENTS[mark] else (Leaf(_ACCENTS[mark], ""),)
    return _items(element, _Context(False))


def _table(element: Element, context: _Context) -> Tree:
    context = _Context(element.get("displaystyle") == "true")
    rows = [_table_row(row, context) for row in element]
    while rows and not rows[-1]:
        rows.pop()
    if len(rows) == 1 and (element.get("width") == "100%" or (_is_numbered(element[0]) and len(element[0]) == 2)):
        return tuple(item for cell in rows[0] for item in cell)
    if len(rows) == 1 and len(rows[0]) == 1:
        return rows[0][0]
    return (("table", *rows),)


def _is_numbered(row: Element) -> bool:
    """Whether MathJax gave a row its number as a first cell."""
    return _tag(row) == "mlabeledtr"


def _table_row(element: Element, context: _Context) -> Tree:
    """The cells; a number of the line is at the end of the last one, as it is in a source."""
    cells, number = list(element), ()
    if _is_numbered(element):
        number, cells = _row(cells[0], context), cells[1:]
    elif any("mml-eqn-num" in (cell.get("class") or "") for cell in cells):
        number = _row(cells[-1], context)
        cells = [cell for cell in cells if not (cell.get("class") or "").startswith(("mtr-glue", "mml-eqn-num"))]
    row = [_row(cell, context) for cell in cells]
    while row and not row[-1]:
        row.pop()
    if number:
        row = [*row[:-1], (*(row[-1] if row else ()), *number)]
    return tuple(row)


def _enclosed(element: Element, context: _Context) -> Tree:
    kinds = " ".join(sorted(set((element.get("notation") or "").split()) - {"left", "right", "top", "bottom"}))
    body = _row(element, context)
    return (("box", kinds, body),) if kinds else body


def _prescripts(element: Element, context: _Context) -> Tree:
    parts: list[list[Tree]] = [[], []]
    is_left = False
    for child in list(element)[1:]:
        if _tag(child) == "mprescripts":
            is_left = True
        else:
            parts[is_left].append(_items(child, _Context(False)))
    return (("prescripts", _items(element[0], context), tuple(parts[0]), tuple(parts[1])),)


def _root(element: Element, context: _Context) -> Tree:
    if _tag(element) == "msqrt":
        return (("root", _row(element, context), ()),)
    body, degree = _parts(element)
    return (("root", _items(body, context), _items(degree, _Context(False))),)


_STRUCTURES = {
    "mfrac": _fraction,
    "msqrt": _root,
    "mroot": _root,
    "mtable": _table,
    "menclose": _enclosed,
    "mmultiscripts": _prescripts,
    "mphantom": lambda element, context: (("hidden", _row(element, context)),),
} | dict.fromkeys(("msub", "msup", "msubsup", "munder", "mover", "munderover"), _script)
