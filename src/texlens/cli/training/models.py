"""`texlens models`"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from texlens.cli.shared import Json, message_console, print_json, result_console

app = typer.Typer(help="Checkpoints: download them, list the families that TexLens knows.", no_args_is_help=True)


@app.command()
def download(
    model: Annotated[str, typer.Argument(metavar="ID", help="A hub id, such as Qwen/Qwen3-VL-4B-Instruct.")],
    source: Annotated[Literal["auto", "huggingface", "modelscope"], typer.Option(help="Which hub.")] = "auto",
    to: Annotated[Path | None, typer.Option(help="Folder to download into; default: the hub's own cache.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
    as_json: Json = False,
) -> None:
    """Download a checkpoint: free disk is checked first, a broken download goes on, a whole folder is reused.

    Example:

        texlens models download Qwen/Qwen3-VL-4B-Instruct --source modelscope --to /models/Qwen3-VL-4B-Instruct
    """
    from texlens.models.download import fetch

    message_console().print(f"fetching {model}")
    folder = fetch(model, source=source, revision=revision, to=to)
    if as_json:
        print_json({"model": model, "folder": str(folder)})
    else:
        result_console().print(str(folder))


@app.command("list")
def list_families(as_json: Json = False) -> None:
    """List the families that TexLens knows, and the checkpoints whose configurations ship with it.

    Example:

        texlens models list
    """
    from rich.table import Table

    from texlens.models.bundled import bundled_names
    from texlens.models.families import FAMILIES

    rows = [
        {
            "family": family.title,
            "model_type": family.model_type,
            "patch_size": family.patch_size,
            "groups": list(family.groups),
        }
        for family in FAMILIES.values()
    ]
    if as_json:
        print_json({"families": rows, "shipped_configurations": list(bundled_names())})
        return
    table = Table("family", "model_type", "patch", "module groups", box=None)
    for row in rows:
        table.add_row(row["family"], row["model_type"], str(row["patch_size"]), ", ".join(row["groups"]))
    console = result_console()
    console.print(table)
    console.print("configurations that ship: " + ", ".join(bundled_names()))
