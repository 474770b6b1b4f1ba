r"""Natural-looking formulas without end, put together from the pieces of a list of real ones.

`Recombiner(labels).sample(rng, 150)` takes a formula of the list, exchanges some of its pieces for pieces of other
formulas from the same kind of place (a subscript for a subscript, a numerator for a numerator, a term for a
term), renames symbols within their class, and so makes texts that nobody can have memorized. The lengths follow the
list's.
"""

import random
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from texlens.latex.generate.alphabet import ALL, DIGITS, LATIN, words

_OPEN = frozenset("({[") | {"\\{", "\\langle", "\\lfloor", "\\lbrack"}
_CLOSE = frozenset(")}]") | {"\\}", "\\rangle", "\\rfloor", "\\rbrack"}
_RELATIONS = frozenset(ALL.relations) | frozenset(words(r"\to \le \ge \ne"))
_COMMAS = frozenset((",", ";", "\\quad", "\\qquad"))
_SPLITTERS = _RELATIONS | _COMMAS | {"+", "-", "\\pm", "\\mp"}
_TIES = frozenset(words(r"\not ^ _ \big \Big \bigg \Bigg \bigl \Bigl \biggl \Biggl \bigr \Bigr \biggr \Biggr \sqrt"))
"""What takes the next token as its argument: no piece begins right after one of them."""
_TWO_GROUPS = {"\\frac": ("over", "under"), "\\binom": ("over", "under"), "\\stackrel": ("label", "labeled")}
_SKIPPED = frozenset(
    words(
        r"""\put \circle \makebox \fbox \label \hspace \vspace \raisebox \kern \unitlength \begin{picture} \setlength
        \hline \rlap \llap \lefteqn \raise \protect \smash \phantom \vphantom \hphantom \linethickness \thicklines
        \b \d \* \- \buildrel \_"""
    )
)
_CLASSES = (
    tuple(LATIN[:26]),
    tuple(LATIN[26:]),
    DIGITS,
    tuple(symbol for symbol in ALL.greek if symbol[1].islower()),
    tuple(symbol for symbol in ALL.greek if symbol[1].isupper()),
    ("+", "-", "\\pm", "\\mp"),
    ("\\otimes", "\\oplus", "\\wedge", "\\times", "\\cdot", "*", "\\circ", "\\star", "\\cup", "\\cap"),
    (
        *("=", "\\equiv", "\\sim", "\\simeq", "\\approx", "\\rightarrow", "<", ">", "\\leq", "\\geq", "\\neq"),
        *("\\propto", "\\in"),
    ),
    ("\\bar", "\\hat", "\\tilde", "\\vec", "\\dot"),
    ("\\sin", "\\cos", "\\tan", "\\exp", "\\ln", "\\log", "\\cosh", "\\sinh", "\\tanh"),
    ("\\sum", "\\prod"),
)
_CLASS_OF = {symbol: symbols for symbols in _CLASSES for symbol in symbols}


class FormulaSlot(NamedTuple):
    """The tokens `start:end` of a formula, a whole piece in a place of the kind `context`."""

    start: int
    end: int
    context: str


class Recombiner:
    """Learns the pieces of `formulas` (labels in LaTeX_OCR's style: tokens with single spaces)."""

    def __init__(
        self, formulas: Iterable[str], *, exchanged: float = 0.35, renamed: float = 0.5, redrawn: float = 0.06
    ):
        """`exchanged`: share of pieces replaced; `renamed`: share of formulas whose symbols are renamed throughout;
        `redrawn`: chance of each symbol to become a random one of its class."""
        self.exchanged, self.renamed, self.redrawn = exchanged, renamed, redrawn
        self._formulas = [tokens for tokens in map(_usable, formulas) if tokens]
        self._slots = [slots_of(tokens) for tokens in self._formulas]
        self._pools = self._pooled()
        self._lengths = {context: [len(piece) for piece in pool] for context, pool in self._pools.items()}

    def _pooled(self) -> dict[str, list[list[str]]]:
        pools = defaultdict(list)
        for tokens, slots in zip(self._formulas, self._slots, strict=True):
            for start, end, context in slots:
                pools[context].append(tokens[start:end])
        return {context: sorted(pool, key=len) for context, pool in pools.items()}

    def sample(self, rng: random.Random, max_tokens: int) -> str:
        """A formula of at most `max_tokens` tokens, 150 being LaTeX_OCR's own limit."""
        number = rng.randrange(len(self._formulas))
        tokens = self._exchange(rng, self._formulas[number], self._slots[number])
        if len(tokens) > max_tokens:
            tokens = splice(rng, tokens, max_tokens) or self._piece(rng, max_tokens)
        return " ".join(self._rename(rng, tokens))

    def _exchange(self, rng: random.Random, tokens: list[str], slots: list[FormulaSlot]) -> list[str]:
        out: list[str] = []
        done = 0
        for start, end, context in slots:
            if start < done or rng.random() > self.exchanged:
                continue
            out += tokens[done:start]
            out += self._like(rng, context, end - start)
            done = end
        return out + tokens[done:]

    def _like(self, rng: random.Random, context: str, length: int) -> list[str]:
        """A piece from the same kind of place and of about the same length."""
        lengths = self._lengths[context]
        low = bisect_left(lengths, length * 3 // 4)
        return self._pools[context][rng.randrange(low, max(low + 1, bisect_right(lengths, length * 5 // 4 + 1)))]

    def _piece(self, rng: random.Random, max_tokens: int) -> list[str]:
        """Some whole side or term that fits, long ones being as likely as short ones."""
        for context in ("side", "term", "below"):
            lengths = self._lengths.get(context, [])
            length = rng.randint((max_tokens + 1) // 2, max_tokens)
            first, last = bisect_left(lengths, length - 1), bisect_right(lengths, length)
            if last > first:
                return list(self._pools[context][rng.randrange(first, last)])
        return ["x"]

    def _rename(self, rng: random.Random, tokens: list[str]) -> list[str]:
        """Symbols become others of their class: some throughout the formula, some each time they occur."""
        renaming: dict[str, str] = {}
        if rng.random() < self.renamed:
            share = rng.random()
            for token in dict.fromkeys(tokens):
                if token in _CLASS_OF and rng.random() < share:
                    renaming[token] = rng.choice(_CLASS_OF[token])
        words = _spelled_out(tokens)
        redrawn, random_value = self.redrawn, rng.random
        for i, token in enumerate(tokens):
            choices = _CLASS_OF.get(token)
            if choices is None or i in words:
                continue
            tokens[i] = rng.choice(choices) if random_value() < redrawn else renaming.get(token, token)
        return tokens


def _usable(formula: str) -> list[str]:
    """The tokens of a formula that has pieces in balance and no drawing commands; else nothing."""
    tokens = formula.split(" ")
    if not _SKIPPED.isdisjoint(tokens) or "" in tokens:
        return []
    depth = 0
    for token in tokens:
        depth += (token == "{") - (token == "}")
        if depth < 0:
            return []
    lefts = sum(token.startswith("\\left") and _is_fence(token) for token in tokens)
    rights = sum(token.startswith("\\right") and _is_fence(token) for token in tokens)
    return [] if depth or lefts != rights else tokens


def _is_fence(token: str) -> bool:
    r"""`\left(` or `\right.`, and not `\leftarrow` or `\rightharpoonup`."""
    return token.startswith(("\\left", "\\right")) and not token.endswith(("arrow", "up", "down", "eqn"))


def _spelled_out(tokens: list[str]) -> set[int]:
    """Places of letters in roman words and in column rules, which stay as they are."""
    places: set[int] = set()
    for i, token in enumerate(tokens):
        if token in ("\\mathrm", "\\textrm", "\\begin{array}") and tokens[i + 1 : i + 2] == ["{"]:
            j = i + 2
            while j < len(tokens) and tokens[j] != "}":
                places.add(j)
                j += 1
        elif token in ("\\cal", "\\mathcal"):
            places |= {i + 1, i + 2}
    return places


def slots_of(tokens: list[str]) -> list[FormulaSlot]:
    """The exchangeable pieces of a formula by their start, larger ones first."""
    slots = [*_row_slots(tokens, 0, len(tokens), "side")]
    stack: list[tuple[int, str]] = []
    pending: list[str] = []
    for i, token in enumerate(tokens):
        if token == "{":
            stack.append((i + 1, _context(tokens, i, pending)))
        elif token == "}":
            start, context = stack.pop()
            if context and i > start:
                slots.append(FormulaSlot(start, i, context))
                slots += _row_slots(tokens, start, i, "")
            if context == "over":
                pending.append("under")
            elif context == "label":
                pending.append("labeled")
    return sorted(set(slots), key=lambda slot: (slot.start, -slot.end, slot.context))


def _context(tokens: list[str], i: int, pending: list[str]) -> str:
    """What kind of place the group that opens at `i` is; "" where nothing may be exchanged."""
    before = tokens[i - 1] if i else ""
    if before == "^":
        return "above"
    if before == "_":
        return "below"
    if before in _TWO_GROUPS:
        return _TWO_GROUPS[before][0]
    if before == "}" and pending:
        return pending.pop()
    if before == "\\sqrt":
        return "radicand"
    if before in ALL.accents:
        return "accented"
    if before in ("&", "\\\\") or (before == "}" and tokens[i + 1 : i + 2] != ["}"] and _in_array(tokens, i)):
        return "cell"
    return ""


def _in_array(tokens: list[str], i: int) -> bool:
    return i >= 4 and "\\begin{array}" in tokens[max(0, i - 12) : i] and tokens[i - 2] in ("c", "l", "r")


def _row_slots(tokens: list[str], start: int, end: int, context: str) -> list[FormulaSlot]:
    """Sides of relations (where `context` names them), and terms between signs, at the top level of a row."""
    edges, slots = _edges(tokens, start, end), []
    for kind, splitters in ((context, _RELATIONS | _COMMAS), ("term", _SPLITTERS)):
        cuts = [start - 1, *(i for i in edges if tokens[i] in splitters), end]
        if kind and len(cuts) > 2:
            slots += [FormulaSlot(a + 1, b, kind) for a, b in pairwise(cuts) if b > a + 1]
    return slots


def _edges(tokens: list[str], start: int, end: int) -> list[int]:
    """Places in a row, outside all brackets, of the signs, relations and commas at which it may be cut."""
    depth, edges = 0, []
    for i in range(start, end):
        token = tokens[i]
        if token in _OPEN or (token.startswith(("\\left", "\\begin")) and not token.endswith("arrow")):
            depth += 1
        elif token in _CLOSE or (token.startswith(("\\right", "\\end{")) and not token.endswith("arrow")):
            depth -= 1
        elif depth == 0 and i > start and token in _SPLITTERS and tokens[i - 1] not in _TIES:
            edges.append(i)
        if depth < 0:
            return []
    return edges if depth == 0 else []


def splice(rng: random.Random, tokens: list[str], max_tokens: int) -> list[str]:
    """A run of whole top-level pieces, of half `max_tokens` up to `max_tokens` tokens; empty where there is none."""
    cuts = [0, *_edges(tokens, 0, len(tokens)), len(tokens)]
    runs = []
    last = 0
    for first in range(len(cuts) - 1):
        while last + 1 < len(cuts) and cuts[last + 1] - cuts[first] <= max_tokens:
            last += 1
        start = cuts[first] + (tokens[cuts[first]] in _COMMAS)
        if 2 * (cuts[last] - start) >= max_tokens:
            runs.append((start, cuts[last]))
        last = max(last, first + 1)
    if not runs:
        return []
    start, end = rng.choice(runs)
    return tokens[start:end]
