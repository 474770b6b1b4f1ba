"""`texlens export`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, Overrides, RunArgument, message_console, print_json, result_console


def _list_formats(requested: bool) -> None:
    if requested:
        from texlens.exporting.formats.registry import FORMATS

        for export_format in FORMATS.values():
            result_console().print(f"{export_format.name:10} {export_format.summary}", markup=False)
        raise typer.Exit


def export(
    run: RunArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")],
    format_name: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="The format of the folder; see --list-formats.")
    ] = "merged",
    checkpoint: Annotated[
        str | None, typer.Option(metavar="best|latest|N", help="Which checkpoint of the run; default: best.")
    ] = None,
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing folder.")] = False,
    quantize_vision: Annotated[
        bool, typer.Option("--quantize-vision", help="Quantize the vision tower too; by default it keeps 16 bits.")
    ] = False,
    calibration_rows: Annotated[int, typer.Option(min=1, help="Train rows that gptq and awq are calibrated on.")] = 64,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Read rows with adapter and artifact, and compare.")
    ] = True,
    rows: Annotated[int, typer.Option(min=1, help="Rows to verify on.")] = 32,
    tolerance: Annotated[float, typer.Option(min=0, help="Factor on the accepted differences from the adapter.")] = 1.0,
    list_formats: Annotated[
        bool, typer.Option("--list-formats", is_eager=True, callback=_list_formats, help="Print the formats and exit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Export a run's adapter to a folder that other programs load, and verify that its predictions are the same.

    A folder that fails is kept as DIR.failed, and the exit code is 2.

    Examples:

        texlens export runs/nano -o exported/nano

        texlens export runs/nano --format nf4 -o exported/nano-nf4 --rows 64
    """
    from texlens.evaluation.saved_run import open_run
    from texlens.exporting.pipeline import export_run
    from texlens.workflows.verify import verify as verify_export

    config, folder = open_run(run, overrides or (), checkpoint)
    console = message_console()

    def check(export_folder: Path):
        return verify_export(config, folder, export_folder, rows=rows, tolerance=tolerance, console=console)

    result = export_run(
        config,
        folder,
        output,
        format_name,
        force=force,
        quantize_vision=quantize_vision,
        calibration_rows=calibration_rows,
        check=check if verify else None,
        console=console,
    )
    if as_json:
        commands = [command.command for command in result.commands]
        print_json(
            {
                "folder": str(result.folder),
                "commands": commands,
                **result.manifest.to_json(),
            }
        )
        return
    out = result_console()
    size, base = result.manifest.sizes["weights"], result.manifest.sizes["base"]
    out.print(f"{result.folder}: {format_name}, {size / 2**20:,.1f} MiB of weights (base {base / 2**20:,.1f} MiB)")
    if result.manifest.verified:
        from texlens.cli.using.verify import summary

        out.print(summary(result.manifest.verified))
    out.print("serve it with:" if result.commands else "no other program serves this adapter; use texlens serve")
    for command in result.commands:
        out.print(f"  {command.program:9} {command.command}", markup=False)
