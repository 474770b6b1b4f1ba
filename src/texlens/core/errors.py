"""The errors that a user can fix, one family.

Each message is one line that says what is wrong, where, and the remedy. The command line prints it and exits with
code 2; anything that is not a `TexlensError` is a bug: traceback, exit code 1.
"""


class TexlensError(Exception):
    """Something the user can fix."""


class ConfigError(TexlensError):
    """A setting is unknown, impossible or missing."""


class DataError(TexlensError):
    """A row, file or data set can't be used; `kind` is a short name that callers decide by, where they need to."""

    def __init__(self, message: str, kind: str = ""):
        super().__init__(message)
        self.kind = kind


TOO_LARGE = "too large"
"""`DataError.kind` of an image with more pixels than allowed."""
SPECIAL_TOKEN = "special token"
"""`DataError.kind` of a text that spells a special token of the model."""


class ModelError(TexlensError):
    """A checkpoint or adapter can't be used."""


class RunError(TexlensError):
    """A run folder is missing, damaged or in use."""


class ExportError(TexlensError):
    """An artifact can't be made."""


class LatexError(TexlensError):
    """A formula can't be parsed or drawn; `position` is the character where it went wrong."""

    def __init__(self, message: str, position: int = 0):
        super().__init__(message)
        self.position = position


class Interrupted(SystemExit):
    """A signal ended the command, which has reported it already; `code` is 128 and the signal's number."""


def one_line(value: object, max_chars: int | None = None) -> str:
    r"""The text of an error or message on one line, control characters escaped, cut to `max_chars` with `…`.

    Example:
        "no\n  room \x1b[31m" -> "no room \x1b[31m", the escape character as four characters
    """
    text = " ".join(str(value).split())
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return text if max_chars is None or len(text) <= max_chars else f"{text[: max_chars - 1]}…"
