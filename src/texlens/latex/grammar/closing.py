"""The text that completes the beginning of a formula, for readings that reach their token limit."""

from functools import lru_cache

from texlens.latex.grammar.automaton import MAX_FRAMES, Frame, State, advance, flushed, is_complete
from texlens.latex.grammar.signatures import COMMAND_NAMES, ENVIRONMENTS, OPTIONAL

_NEEDS = {"m": "{}", "t": "{}", "T": "{}", "r": "{}", "A": "{}", "x": "{}", "k": "{}"}
_NEEDS |= {"C": "{c}", "N": "{1-1}", "d": ".", "L": "pt"}
_MAX_STEPS = 6 * MAX_FRAMES


@lru_cache(maxsize=20_000)
def closing(state: State) -> str:
    """A short text after which the formula is complete; empty where it is.

    Raises:
        ValueError: none was found (not seen in any test).
    """
    written = ""
    current = state
    for _ in range(_MAX_STEPS):
        if is_complete(current):
            return written
        text = _step(current)
        after = advance(current, text)
        if after is None:
            break
        written, current = written + text, after
    raise ValueError(f"no text completes {state}")


def _step(state: State) -> str:
    """The next few characters."""
    if state.partial and flushed(state) is None:
        return _completion(state)
    if state.partial == "\\":
        return " "
    if state.partial:
        return _spaced(_step(flushed(state) or state))
    frame = state.stack[-1]
    needed = frame.pending.lstrip("".join(OPTIONAL))
    if needed:
        return "t" if needed[0] == "L" and frame.level else _NEEDS[needed[0]]
    if state.phase == "start":
        return "{}"
    return _end_of(frame)


def _spaced(text: str) -> str:
    """A letter after a command would become part of its name."""
    return " " + text if text[0].isalpha() else text


def _end_of(frame: Frame) -> str:
    if frame.kind == "left":
        return frame.name + "."
    if frame.kind == "environment":
        return f"\\end{{{frame.name}}}"
    if frame.kind == "columns":
        return "}" if frame.level else "c}"
    if frame.kind == "range":
        return ("1-1}", "-1}", "-1}", "1}", "}", "}")[frame.level]
    if frame.kind == "position":
        return "]" if frame.level else "t]"
    if frame.kind == "inline":
        return frame.name
    return {"[": "]", "raw[": "]", "root": "\\of{}", "buildrel": "\\over{}"}.get(frame.kind, "}")


def _completion(state: State) -> str:
    """The shortest end of an unfinished command that the automaton accepts."""
    partial = state.partial.replace(" ", "")
    if "{" in partial:
        name = partial.split("{", 1)[1]
        ends = [other[len(name) :] + "}" for other in ENVIRONMENTS if other.startswith(name)]
    elif partial in ("\\begin", "\\end"):
        ends = ["{" + other + "}" for other in ENVIRONMENTS]
    else:
        ends = [command[len(partial) :] for command in COMMAND_NAMES if command.startswith(partial)]
        ends += [f"{end}{{{other}}}" for end in ends if partial + end in ("\\begin", "\\end") for other in ENVIRONMENTS]
    for end in sorted(ends, key=lambda end: (len(end), end)):
        after = advance(state, end)
        if after is not None and flushed(after) is not None:
            return end
    raise ValueError(f"no command continues {state}")
