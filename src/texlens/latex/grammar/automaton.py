r"""Reads a formula a few characters at a time and says whether `parse` can still accept it.

A `State` is a stack of frames (what is open), the beginning of an unfinished command, and whether anything was read. It
is stricter than the parser in rare places (no comments, no verbatim text), never laxer: what is complete here parses.
"""

from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

from texlens.latex.grammar.signatures import (
    COMMAND_NAMES,
    DIVISIONS,
    ENVIRONMENTS,
    OPTIONAL,
    SIGNATURES,
)
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.symbol_nodes import SYMBOL_NODES
from texlens.latex.parse.unicode_characters import PRIMES, SCRIPTS, SUBSCRIPTS

MAX_FRAMES = 60
MAX_ROW_CELLS = 190
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BY_PREFIX: dict[str, list[str]] = defaultdict(list)
for _name in sorted(COMMAND_NAMES, key=len):
    for _end in range(1, len(_name) + 1):
        _BY_PREFIX[_name[:_end]].append(_name)
_NAME_PREFIXES = frozenset(name[:end] for name in ENVIRONMENTS for end in range(len(name) + 1))
_DELIMITERS = frozenset(sym.DELIMITERS)
_NEW_ROW = frozenset(["\\\\", "\\cr", "\\tabularnewline"])
_RULES = frozenset(["\\hline", "\\hdashline", "\\toprule", "\\midrule", "\\bottomrule"])
_FENCES = frozenset(["$", "\\[", "\\]", "\\(", "\\)"])
_SCRIPTS = frozenset(["^", "_", "\\sp", "\\sb"])
_AFTER_BASE = frozenset(["'", "\\limits", "\\nolimits", "\\displaylimits", *PRIMES, *SCRIPTS, *SUBSCRIPTS])
_ROWS = frozenset(["top", "environment", "rows"])
_TO_THE_END = frozenset(["\\eqno", "\\leqno"])
_SOURCE_TEXT = frozenset(["raw", "raw[", "columns", "position", "range"])
_DIMENSION = frozenset("+-0123456789.,")


class Frame(NamedTuple):
    """Something open. `pending` are the arguments that its last command still needs (see `signatures`)."""

    kind: str
    name: str = ""
    pending: str = ""
    is_divided: bool = False
    is_row_start: bool = False
    level: int = 0


class State(NamedTuple):
    """`partial` is an unfinished command; `phase` is `start`, `body` or, after a closing math delimiter, `end`."""

    stack: tuple[Frame, ...]
    partial: str = ""
    phase: str = "start"


START = State((Frame("top", is_row_start=True),))


def advance(state: State, text: str) -> State | None:
    """The state after some more characters, or None where no formula begins so."""
    for character in text:
        after = _read(state, character)
        if after is None:
            return None
        state = after
    return state


def is_complete(state: State) -> bool:
    """Whether what was read is a formula that parses."""
    finished = flushed(state)
    return (
        finished is not None
        and finished.phase != "start"
        and len(finished.stack) == 1
        and set(finished.stack[0].pending) <= OPTIONAL
    )


def flushed(state: State) -> State | None:
    """The state once an unfinished command has ended."""
    if not state.partial:
        return state
    if state.partial == "\\":  # a control space at the very end
        return _token(state._replace(partial=""), "\\ ")
    if state.partial not in COMMAND_NAMES or state.partial in ("\\begin", "\\end"):
        return None
    return _token(state._replace(partial=""), state.partial)


# Characters to tokens


def _read(state: State, character: str) -> State | None:
    partial = state.partial
    if not partial:
        return _first(state, character)
    if partial == "\\":
        name = "\\ " if character.isspace() else partial + character
        if character in _LETTERS:
            return _extended(state, name)
        return _token(state._replace(partial=""), name) if name in COMMAND_NAMES else None
    if partial.startswith(("\\begin", "\\end")) and (partial[-1] in "{ " or "{" in partial or character in "{ \n"):
        return _environment_name(state, character)
    if character in _LETTERS:
        return _extended(state, partial + character)
    after = flushed(state)
    return None if after is None else _first(after, character)


def _extended(state: State, partial: str) -> State | None:
    """An unfinished command, where some command that begins so is possible here."""
    return state._replace(partial=partial) if _is_viable(state._replace(partial=""), partial) else None


@lru_cache(maxsize=200_000)
def _is_viable(state: State, partial: str) -> bool:
    for name in _BY_PREFIX.get(partial, ()):
        if name == "\\end":
            frame = state.stack[-1]
            if frame.kind == "environment" and _environment(state, name, frame.name) is not None:
                return True
        elif name == "\\begin":
            if _environment(state, name, "matrix") is not None:
                return True
        elif _token(state, name) is not None:
            return True
    return False


def _first(state: State, character: str) -> State | None:
    if character.isspace():
        return state
    if character == "%" or not character.isprintable():
        return None
    if character == "\\":
        return (
            None if state.stack[-1].kind in ("raw", "raw[", "columns", "position", "range") else _extended(state, "\\")
        )
    return _token(state, character)


def _environment_name(state: State, character: str) -> State | None:
    partial = state.partial.rstrip()
    if "{" not in partial:
        if character.isspace():
            return state._replace(partial=partial + " ")
        return state._replace(partial=partial + "{") if character == "{" else None
    command, name = partial.split("{", 1)
    if character.isspace():
        return state
    if character == "}":
        return _environment(state._replace(partial=""), command, name) if name in ENVIRONMENTS else None
    if command == "\\end" and not state.stack[-1].name.startswith(name + character):
        return None
    return state._replace(partial=partial + character) if name + character in _NAME_PREFIXES else None


# Tokens


def _token(state: State, token: str) -> State | None:
    if state.phase == "end":
        return state if token in _FENCES else None
    frame = state.stack[-1]
    if frame.kind == "raw":
        return _raw(state, frame, token)
    if frame.kind == "raw[":
        return _popped(state) if token == "]" else None if token in "{}[" else state
    if frame.kind == "columns":
        return _column(state, frame, token)
    if frame.kind == "position":
        return _position(state, frame, token)
    if frame.kind == "range":
        return _range(state, frame, token)
    if frame.pending:
        return _argument(state, frame, token)
    return _text(state, frame, token) if frame.kind == "text" else _math(state, frame, token)


def _math(state: State, frame: Frame, token: str) -> State | None:
    kind = frame.kind
    if token == "{":
        return _pushed(state, Frame("group"))
    if token == "}":
        return _popped(state) if kind in ("group", "rows") else None
    if token == "]" and kind == "[":
        return _popped(state)
    if token in _FENCES:
        return _fence(state, frame, token)
    if token == "&" or token in _NEW_ROW:
        if kind not in _ROWS or frame.level > MAX_ROW_CELLS:
            return None
        cells = frame.level + 1 if token == "&" else 0
        return _changed(state, frame._replace(is_divided=False, is_row_start=token != "&", level=cells))
    if token in _RULES:
        return state._replace(phase="body") if frame.is_row_start and kind == "environment" else None
    if token in ("\\cline", "\\intertext", "\\shortintertext"):
        return _row_command(state, frame, token)
    if token in ("\\left", "\\mleft"):
        closing = "\\right" if token == "\\left" else "\\mright"
        return _pushed(state, Frame("left", closing, "d"))
    if token in ("\\right", "\\mright"):
        return _pending(_popped(state), "d") if kind == "left" and frame.name == token else None
    if token == "\\middle":
        return _changed(state, frame._replace(pending="d", is_divided=False)) if kind == "left" else None
    if token == "\\root":
        return _pushed(state, Frame("root"))
    if token == "\\of":
        return _pending(_popped(state), "m") if kind == "root" else None
    if token == "\\buildrel":
        return _pushed(state, Frame("buildrel"))
    if token == "\\over" and kind == "buildrel":
        return _pending(_popped(state), "m")
    if token in DIVISIONS:
        if frame.is_divided or kind == "buildrel":
            return None
        return _changed(state, frame._replace(is_divided=True, pending=DIVISIONS[token]))
    if token in _SCRIPTS:
        return _pending(state, "m")
    if token in _AFTER_BASE:
        return _pending(state, "")
    return _atom(state, token)


def _atom(state: State, token: str) -> State | None:
    """A symbol, or a command with its arguments."""
    if token in SIGNATURES:
        return _pending(state, SIGNATURES[token])
    if token in SYMBOL_NODES and token != "`":
        return _pending(state, "")
    if len(token) == 1 and token not in "$#&`~^_{}" and not token.isascii():
        return _pending(state, "")
    return None


def _argument(state: State, frame: Frame, token: str) -> State | None:
    kind, remaining = frame.pending[0], frame.pending[1:]
    after = _changed(state, frame._replace(pending=remaining))
    if kind in OPTIONAL:
        return _option(state, after, kind, token)
    if kind == "k":
        return _pushed(after, Frame("raw", level=1)) if token == "{" else _token(after, token)
    if kind == "d":
        return after if token in _DELIMITERS else None
    if kind == "L":
        return _length(state, frame, after, token)
    if token == "{":
        return _pushed(after, _GROUPS[kind])
    if kind in "tA":
        return after if len(token) == 1 and token.isalnum() else None
    if kind != "m" or token in _AFTER_BASE or token == "\\limits":
        return None
    return _atom_argument(after, token)


def _atom_argument(state: State, token: str) -> State | None:
    """A math argument without braces: its own arguments come before those that are still pending."""
    if token in _TO_THE_END:
        return None
    frame = state.stack[-1]
    if token in SIGNATURES:
        signature = SIGNATURES[token]
        return _changed(state, frame._replace(pending=signature + frame.pending))
    return _atom(state, token) if not frame.pending else _atom_before_pending(state, token)


def _atom_before_pending(state: State, token: str) -> State | None:
    pending = state.stack[-1].pending
    after = _atom(_pending(state, "") or state, token)
    return None if after is None else _changed(after, after.stack[-1]._replace(pending=pending))


_GROUPS = {
    "m": Frame("group"),
    "t": Frame("text"),
    "T": Frame("text"),
    "r": Frame("raw", level=1),
    "A": Frame("raw", level=1),
    "C": Frame("columns"),
    "N": Frame("range"),
    "x": Frame("rows", is_row_start=True),
}


def _option(state: State, after: State, kind: str, token: str) -> State | None:
    if kind == "s" and token == "*":
        return after
    if token == "[" and kind in "oRp":
        frames = {"o": Frame("["), "R": Frame("raw["), "p": Frame("position")}
        return _pushed(after, frames[kind])
    return _token(after, token)


def _length(state: State, frame: Frame, after: State, token: str) -> State | None:
    """A length without braces: a number, then two letters; `level` counts these."""
    if frame.level == 0 and token in _DIMENSION and len(token) == 1:
        return state
    if token in _LETTERS and token.islower():
        if frame.level == 0:
            return _changed(state, frame._replace(level=1))
        return _changed(after, after.stack[-1]._replace(level=0))
    return None


def _text(state: State, frame: Frame, token: str) -> State | None:
    if token == "{":
        return _pushed(state, Frame("text"))
    if token == "}":
        return _popped(state)
    if token in ("$", "\\("):
        return _pushed(state, Frame("inline", "$" if token == "$" else "\\)"))
    if token in sym.TEXT_ACCENTS:
        return _pending(state, "A")
    if token in sym.TEXT_COMMANDS:
        return _pending(state, "t")
    is_plain = len(token) == 1 or token in SYMBOL_NODES or token in ("\\\\", "\\ ")
    return state if is_plain else None


def _fence(state: State, frame: Frame, token: str) -> State | None:
    """Math delimiters: around the whole formula, or at the end of math within text."""
    if frame.kind == "inline":
        return _popped(state) if token == frame.name else None
    if frame.kind != "top":
        return None
    return state if state.phase == "start" else state._replace(phase="end")


def _row_command(state: State, frame: Frame, token: str) -> State | None:
    if not frame.is_row_start or frame.kind != "environment":
        return None
    return _changed(state, frame._replace(pending="N" if token == "\\cline" else "T"))


def _environment(state: State, command: str, name: str) -> State | None:
    frame = state.stack[-1]
    if state.phase == "end":
        return None
    if command == "\\end":
        return _popped(state) if frame.kind == "environment" and frame.name == name and _is_satisfied(frame) else None
    if frame.pending and not _is_satisfied(frame):
        return None
    if frame.kind == "text" or frame.kind in _SOURCE_TEXT:
        return None
    state = _changed(state, frame._replace(pending=""))
    return _pushed(state, Frame("environment", name, ENVIRONMENTS[name], is_row_start=True))


def _is_satisfied(frame: Frame) -> bool:
    return set(frame.pending) <= OPTIONAL


def _raw(state: State, frame: Frame, token: str) -> State | None:
    level = frame.level + (token == "{") - (token == "}")
    return _popped(state) if level == 0 else _changed(state, frame._replace(level=level))


def _column(state: State, frame: Frame, token: str) -> State | None:
    if token == "}":
        return _popped(state) if frame.level else None
    if token in ("l", "c", "r") and frame.level < MAX_ROW_CELLS:
        return _changed(state, frame._replace(level=frame.level + 1))
    return state if token == "|" else None


def _position(state: State, frame: Frame, token: str) -> State | None:
    if frame.level == 0:
        return _changed(state, frame._replace(level=1)) if token in ("t", "b", "c") else None
    return _popped(state) if token == "]" else None


def _range(state: State, frame: Frame, token: str) -> State | None:
    """`1-2`: up to two digits, a hyphen, up to two digits; `level` counts what was read."""
    if token.isdecimal() and token.isascii() and frame.level not in (2, 5):
        return _changed(state, frame._replace(level=frame.level + 1))
    if token == "-" and frame.level in (1, 2):
        return _changed(state, frame._replace(level=3))
    return _popped(state) if token == "}" and frame.level in (4, 5) else None


# Stack


def _pushed(state: State | None, frame: Frame) -> State | None:
    if state is None or len(state.stack) >= MAX_FRAMES:
        return None
    outer = state.stack[-1]._replace(is_row_start=False)
    return State((*state.stack[:-1], outer, frame), state.partial, "body")


def _popped(state: State) -> State:
    return State(state.stack[:-1], state.partial, "body")


def _changed(state: State, frame: Frame) -> State:
    return State((*state.stack[:-1], frame), state.partial, "body")


def _pending(state: State | None, signature: str) -> State | None:
    """The state after a command: what it needs comes next."""
    if state is None:
        return None
    frame = state.stack[-1]
    return _changed(state, frame._replace(pending=signature + frame.pending, is_row_start=False))
