"""The command line's own messages in the user's language: `TEXLENS_LANG=zh` gives Chinese ones.

`locales/zh.txt` has a message a line, `English => Chinese`, with `{}` for what varies, in the same order. Messages that
are not in it stay English; names, keys, options, paths and numbers always stay as they are.
"""

import os
import re
from functools import cache
from pathlib import Path

LANGUAGE_VARIABLE = "TEXLENS_LANG"
SEPARATOR = " => "


def translated(text: str) -> str:
    """The text in the language of `TEXLENS_LANG`, line by line; unknown messages unchanged.

    Example:
        TEXLENS_LANG=zh: "d/x: no such file or folder; check data.path" -> "d/x：没有这个文件或文件夹；请检查 data.path"
    """
    if not os.environ.get(LANGUAGE_VARIABLE, "").lower().startswith("zh"):
        return text
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    """The line by the most specific message that it is; what varies in it is translated too where it is a message."""
    core = line.strip()
    for pattern, chinese in _messages():
        if match := pattern.fullmatch(core):
            parts = [_line(part) if len(part) < len(core) else part for part in match.groups()]
            return line.replace(core, chinese.format(*parts), 1)
    return line


@cache
def _messages() -> list[tuple[re.Pattern[str], str]]:
    """Patterns of the English messages with their translations, those with the most words of their own first."""
    pairs = [line.split(SEPARATOR) for line in read_messages()]
    pairs.sort(key=lambda pair: -len(pair[0].replace("{}", "")))
    return [(re.compile("(.+?)".join(map(re.escape, english.split("{}")))), chinese) for english, chinese in pairs]


def read_messages() -> list[str]:
    lines = (Path(__file__).parent / "locales" / "zh.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip()]
