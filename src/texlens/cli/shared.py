"""Options and output that several commands share."""

import difflib
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from texlens.core.errors import ConfigError
from texlens.core.language import translated
from texlens.core.notes import print_note

SPLITS = ("train", "validation", "test")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
CacheChoice = Annotated[
    bool,
    typer.Option("--cache/--no-cache", help="Use stored predictions where all that made them is the same."),
]
OldNoCache = Annotated[bool, typer.Option("--fresh", hidden=True, help="Old name of --no-cache.")]
ShowAll = Annotated[bool, typer.Option("--all", help="Print every score, not the main ones alone.")]
Checkpoint = Annotated[
    str | None, typer.Option(metavar="best|latest|N", help="Weights of this checkpoint instead of the best ones.")
]
Split = Annotated[str, typer.Option(help="train, validation or test.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as train.epochs=2. May be repeated."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/nano.")]


def uses_cache(cache: bool, ignore_cache: bool) -> bool:
    """`--fresh` is the old name of `--no-cache`."""
    if ignore_cache:
        print_note("--fresh is the old name of --no-cache; it still works but will be removed")
    return cache and not ignore_cache


def check_split(split: str) -> None:
    """
    Raises:
        ConfigError: not one of a run's splits.
    """
    if split not in SPLITS:
        near = difflib.get_close_matches(split, SPLITS, 1, 0.6)
        hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(SPLITS)}"
        raise ConfigError(f"--split {split}: no such split of a run; {hint}")


class SafeConsole(Console):
    """A console that shows control characters of data, such as escape sequences in a label, instead of sending them to
    the terminal. Texts are no markup: a folder may be called `[bold]`."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Texts, and the headings and names in tables, are printed in the language of `TEXLENS_LANG`."""
        super().print(*(_in_language(value) for value in objects), **options)

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def _in_language(value: Any) -> Any:
    if isinstance(value, str):
        return translated(value)
    if isinstance(value, Text):
        return value if value.spans else Text(translated(value.plain), style=value.style)
    if isinstance(value, Table):
        value.title, value.caption = _in_language(value.title), _in_language(value.caption)
        for column in value.columns:
            column.header = _in_language(column.header)
        names = value.columns[0] if value.columns else None
        if names is not None:
            names._cells = [_in_language(cell) for cell in names._cells]
    return value


def visible(text: str) -> str:
    r"""Control characters but tab and newline as Unicode's pictures of them, C1 controls and halves of
    surrogates as U+FFFD.

    Example:
        "\x1b[31mred" -> "␛[31mred"
    """
    return text.translate(CONTROL_PICTURES)


CONTROL_PICTURES = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD),
}


def message_console() -> Console:
    """Progress and notes go to standard error, so that standard output holds results alone."""
    return SafeConsole(stderr=True, highlight=False, soft_wrap=True, markup=False)


def result_console() -> Console:
    """Long lines are not wrapped, so that a path stays in one piece in a file or pipe."""
    return SafeConsole(highlight=False, soft_wrap=True, markup=False)


def print_json(value: Any) -> None:
    """JSON escapes control characters below U+0020; those above are escaped here."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(re.sub("[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")
