"""Help pages and usage errors in the language of `TEXLENS_LANG`, wrapped by the width of the characters on a terminal,
of which a Chinese one takes two columns."""

import io
from collections.abc import Sequence
from typing import Any

import typer
from rich.cells import cell_len

from texlens.core.language import translated

MIN_WIDTH = 20
Formatter: Any = typer.Context.formatter_class


class TranslatedFormatter(Formatter):
    """Typer's formatter, with what it writes translated."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, translated("Usage: {}").format("") if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{translated(heading)}:\n")

    def write_text(self, text: str) -> None:
        indent = " " * self.current_indent
        lines = wrapped(translated(" ".join(text.split())), self.width - self.current_indent)
        self.write("".join(f"{indent}{line}\n" for line in lines))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        indent = " " * self.current_indent
        column = min(max((cell_len(term) for term, _ in rows), default=0), col_max) + col_spacing
        for term, text in rows:
            lines = wrapped(translated(text), max(self.width - column - 2, MIN_WIDTH))
            if cell_len(term) <= column - col_spacing and lines:
                term, lines = f"{term}{' ' * (column - cell_len(term))}{lines[0]}", lines[1:]
            self.write(f"{indent}{term}\n" + "".join(f"{indent}{' ' * column}{line}\n" for line in lines))


def wrapped(text: str, columns: int) -> list[str]:
    """The text in lines of at most `columns` terminal columns, broken at spaces and on both sides of wide characters.

    Example:
        "读取 a 图片", 6 -> "读取 a", "图片"
    """
    lines, line = [], ""
    for piece in _pieces(text):
        if line and cell_len(line + piece.rstrip()) > columns:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> list[str]:
    """Words with the space after them, and wide characters one by one; punctuation stays with what it follows."""
    pieces: list[str] = []
    for character in text:
        last = pieces[-1] if pieces else ""
        is_new = not last or (character not in CLOSING and (cell_len(character) > 1 or cell_len(last[-1]) > 1))
        if is_new or (last[-1] == " " and character != " "):
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces


CLOSING = " ，。；：、！？）”"
"""What never begins a line."""


def usage_error_text(error: Any) -> str:
    """What Typer prints of a usage error, translated."""
    text = io.StringIO()
    error.show(text)
    return "\n".join(map(translated, text.getvalue().rstrip("\n").splitlines()))


CLICK_ERROR: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
