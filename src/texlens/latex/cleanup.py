r"""The one clean-up of a model's answer: code fences, prose around the formula and math delimiters are removed.

Used by `read`, `evaluate`, `score` and the server alike; each names what was removed.
"""

import re
from typing import NamedTuple

CODE_FENCE, PROSE, MATH_DELIMITERS = "code fence", "prose", "math delimiters"
_MAX_ROUNDS = 4
_FENCED = re.compile(
    r"(?P<before>.*?)```[ \t]*(?:[A-Za-z]{0,12}[ \t]*\n|(?:latex|tex|math)\b[ \t]*)?(?P<body>.*?)"
    r"(?:\n?```(?P<after>.*))?\Z",
    re.DOTALL,
)
_TICKS = re.compile(r"`([^`]+)`\.?")
_SUBJECT = r"(?:la)?tex|formula|equation|expression|code|transcription|math|result|answer|output"
_INTRODUCTION = re.compile(
    rf"\s*(?:sure[,!.]?\s+|certainly[,!.]?\s+|okay[,!.]?\s+)?(?:here(?:'s| is| are)|the|this is|in|as)?\s*"
    rf"[^\\$^_{{}}:\n]{{0,60}}?\b(?:{_SUBJECT})\b[^\\$^_{{}}:\n]{{0,60}}:\s*",
    re.IGNORECASE,
)
_DELIMITERS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))
_PROSE_ONLY = re.compile(r"[^\\^_{}$=]*")


class Cleaned(NamedTuple):
    """A text and what was removed from it, in order."""

    text: str
    removed: tuple[str, ...] = ()


def clean_prediction(text: str) -> Cleaned:
    r"""The formula in a model's answer; a text without fence, prose or delimiters comes back as it is.

    Example:
        clean_prediction("The LaTeX is:\n```latex\nx^2\n```") == Cleaned("x^2", ("prose", "code fence"))
        clean_prediction("$$a$$") == Cleaned("a", ("math delimiters",))
    """
    removed: list[str] = []
    for _ in range(_MAX_ROUNDS):
        cleaned, wrappers = _once(text)
        if not wrappers:
            break
        text = cleaned
        removed += [name for name in wrappers if name not in removed]
    return Cleaned(text, tuple(removed))


def is_bare(text: str) -> bool:
    """Whether a text has no code fence and no prose around it."""
    return not {CODE_FENCE, PROSE} & set(clean_prediction(text).removed)


def _once(text: str) -> tuple[str, list[str]]:
    stripped = text.strip()
    if "```" in stripped and (fenced := _FENCED.fullmatch(stripped)) is not None:
        around = fenced["before"].strip() + (fenced["after"] or "").strip()
        return fenced["body"].strip(), [PROSE] * bool(around) + [CODE_FENCE]
    if ticked := _TICKS.fullmatch(stripped):
        return ticked[1].strip(), [CODE_FENCE]
    if introduced := _INTRODUCTION.match(stripped):
        answer = stripped[introduced.end() :].strip()
        return (answer, [PROSE]) if answer else (text, [])
    return _without_delimiters(text, stripped)


def _without_delimiters(text: str, stripped: str) -> tuple[str, list[str]]:
    for opening, closing in _DELIMITERS:
        if not stripped.startswith(opening):
            continue
        end = stripped.find(closing, len(opening))
        if end <= len(opening) - 1:
            continue
        body, after = stripped[len(opening) : end], stripped[end + len(closing) :].strip()
        if not after:
            return body.strip(), [MATH_DELIMITERS]
        if len(opening) > 1 and _PROSE_ONLY.fullmatch(after):
            return body.strip(), [MATH_DELIMITERS, *([PROSE] if after.strip(".,; ") else [])]
    return text, []
