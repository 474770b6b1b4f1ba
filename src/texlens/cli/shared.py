"""Options and output that several commands share."""

import difflib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from texlens.core.errors import ConfigError
from texlens.core.notes import print_note

SPLITS = ("train", "validation", "test")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
CacheChoice = Annotated[
    bool,
    typer.Option("--cache/--no-cache", help="Use stored predictions where all that made them is the same."),
]
OldNoCache = Annotated[bool, typer.Option("--fresh", hidden=True, help="Old name of --no-cache.")]
ShowAll = Annotated[bool, typer.Option("--all", help="Print every score, not the main ones alone.")]
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


def message_console() -> Console:
    """Progress and remarks go to standard error, so that standard output holds results alone."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def result_console() -> Console:
    """Long lines are left to the terminal, so that a path stays whole in a file or pipe."""
    return Console(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
