"""The program's own messages in the user's language: `TEXLENS_LANG=zh` gives Chinese ones, and so does a request of a
Chinese page of the board.

The files of `locales/zh` have a message a line, `English => Chinese`, with `{}` for what varies, in the same order or
numbered from 0. Names, keys, options, paths and numbers always stay as they are.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

LANGUAGE_VARIABLE = "TEXLENS_LANG"
SEPARATOR = " => "
HOLE = "{}"
LOCALE = Path(__file__).parent / "locales" / "zh"
HEADINGS = "headings"
"""The file of words that are translated where they are a whole text, such as a column's heading, and never within one,
where they may be a user's name for something."""
JOINTS = (("; ", "；"), (": ", "："))
"""What joins messages to one line, from the outside in."""


@dataclass(frozen=True)
class Entry:
    english: str
    chinese: str
    is_heading: bool = False

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        return tuple(_unescaped(piece) for piece in self.english.split(HOLE))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("(.*?)".join(map(re.escape, self.pieces)))

    def match(self, text: str) -> re.Match[str] | None:
        return self.pattern.fullmatch(text) if all(piece in text for piece in self.pieces) else None


_chosen: ContextVar[str] = ContextVar("language", default="")


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Messages of this block, and of the threads that it hands its context to, are in that language; "" changes
    nothing.

    Example:
        with speaking("zh-CN"):
            translated("d/x: no such file or folder; check data.path") -> "d/x：没有这个文件或文件夹；请检查 data.path"
    """
    token = _chosen.set(language)
    try:
        yield
    finally:
        _chosen.reset(token)


def is_chinese() -> bool:
    language = _chosen.get() or os.environ.get(LANGUAGE_VARIABLE, "")
    return language.lower().startswith("zh")


def translated(text: str) -> str:
    """The text in the user's language, line by line; unknown messages unchanged.

    Example:
        TEXLENS_LANG=zh: "d/x: no such file or folder; check data.path" -> "d/x：没有这个文件或文件夹；请检查 data.path"
    """
    if not is_chinese():
        return text
    return "\n".join(_line(line, whole=True) for line in text.split("\n"))


def _line(line: str, *, whole: bool = False) -> str:
    """The line by the most specific message that it is; what varies in it is translated too where it is a message.

    A line that is no message may be several, joined; where none of its parts is one, it stays as it is.
    """
    core = line.strip()
    for entry in _entries():
        if (whole or not entry.is_heading) and (match := entry.match(core)):
            parts = [_line(part) if len(part) < len(core) else part for part in match.groups()]
            return line.replace(core, entry.chinese.format(*parts), 1)
    for joint, chinese in JOINTS:
        parts = core.split(joint)
        changed = [_line(part) for part in parts] if len(parts) > 1 else parts
        if changed != parts:
            return line.replace(core, chinese.join(changed), 1)
    return line


@cache
def _entries() -> tuple[Entry, ...]:
    """All messages, those with the most words of their own first."""
    return tuple(sorted(read_entries(), key=lambda entry: -len(entry.english.replace(HOLE, ""))))


def read_entries(name: str = "*") -> list[Entry]:
    """The messages of one file of `locales/zh`, or of all."""
    return [
        Entry(*line.split(SEPARATOR), is_heading=file.stem == HEADINGS)
        for file in sorted(LOCALE.glob(f"{name}.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def _unescaped(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")
