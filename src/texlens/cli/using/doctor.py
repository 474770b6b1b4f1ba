"""`texlens doctor`"""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from texlens.cli.shared import Json, print_json, result_console

COLORS = {"ok": "green", "info": "blue", "warn": "yellow", "fail": "red"}


def doctor(
    output: Annotated[Path, typer.Option("--output", help="The folder that runs would be written to.")] = Path("runs"),
    reading: Annotated[
        bool, typer.Option("--reading/--no-reading", help="Let the bundled model read a formula as a test.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Check what this machine can do, what is missing, and the command that fixes it.

    The exit code is 2 where something keeps TexLens from working, else 0.

    Example:

        texlens doctor
    """
    from texlens.workflows.doctor.checks import conclusion
    from texlens.workflows.doctor.examine import examine

    console = None if as_json else result_console()
    checks = []
    for check in examine(output, reading=reading):
        checks.append(check)
        if console:
            console.print(Text.assemble((f"{check.status:4}", COLORS[check.status]), f" {check.name:18} "), end="")
            console.print(check.reason, markup=False)
            if check.remedy and check.status != "ok":
                console.print(f"       {check.remedy}", markup=False)
    failed = any(check.status == "fail" for check in checks)
    if console:
        console.print(conclusion(checks), markup=False)
    if as_json:
        print_json({"ok": not failed, "checks": [check.to_json() for check in checks]})
    if failed:
        raise typer.Exit(2)
