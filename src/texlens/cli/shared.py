"""Options and output that several commands share."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as train.epochs=2. May be repeated."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/nano.")]


def message_console() -> Console:
    """Progress and remarks go to standard error, so that standard output holds results alone."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def result_console() -> Console:
    """Long lines are left to the terminal, so that a path stays whole in a file or pipe."""
    return Console(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
