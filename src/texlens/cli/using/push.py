"""`texlens push`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Checkpoint, Json, message_console, print_json, result_console


def push(
    model: Annotated[Path, typer.Argument(metavar="RUN|EXPORT", help="A run, a checkpoint or an exported folder.")],
    to: Annotated[str, typer.Option("--to", metavar="OWNER/NAME", help="The repository, created where it is missing.")],
    source: Annotated[str, typer.Option(help="huggingface or modelscope.")] = "huggingface",
    private: Annotated[bool, typer.Option("--private", help="A repository that only you see.")] = False,
    checkpoint: Checkpoint = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Of an exported folder: its run, for data and scores of the model card."),
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="ID", help="Hub id of the base, if the run names a folder.")
    ] = None,
    license: Annotated[
        str | None, typer.Option(help="Of the weights, such as apache-2.0; default: the base's.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the model card and the files; upload nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish an adapter or an export with a model card: data, settings, scores with intervals, limits, licences.

    The token is read from HF_TOKEN or MODELSCOPE_API_TOKEN, in the environment or in .env.

    Examples:

        texlens push runs/nano --to me/nano-handwriting --dry-run

        texlens push runs/qwen3-vl-4b --to me/qwen3-vl-4b-latex --private --license apache-2.0
    """
    from texlens.workflows.push import PushRequest, push

    request = PushRequest(model, to, source, private, checkpoint, run, base, license)
    result = push(request, console=message_console(), upload=not dry_run)
    if as_json:
        print_json({**result.to_json(), "model_card": result.model_card})
        return
    console = result_console()
    if dry_run:
        console.print(result.model_card, markup=False)
    for file in result.files:
        console.print(f"{file.bytes:>14,}  {file.path}", markup=False)
    for name in result.left_out:
        console.print(f"stays here: {name}", style="yellow", markup=False)
    console.print(f"published: {result.url}" if result.url else "nothing was uploaded (--dry-run)", markup=False)
