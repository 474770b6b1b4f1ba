"""`texlens export`"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from texlens.cli.shared import Json, Overrides, RunArgument, message_console, print_json, result_console

Format = Literal["adapter", "merged", "nf4", "int8", "fp8", "gptq", "awq", "gguf"]


def export(
    run: RunArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the folder will be.")],
    form: Annotated[Format, typer.Option("--format", help="What becomes of the adapter.")] = "merged",
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that is there.")] = False,
    quantize_vision: Annotated[
        bool, typer.Option("--quantize-vision", help="Quantize the vision tower too; else it stays in 16 bit.")
    ] = False,
    calibration_rows: Annotated[int, typer.Option(min=1, help="Train rows that gptq and awq are calibrated on.")] = 64,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Read rows with adapter and artifact, and compare.")
    ] = True,
    rows: Annotated[int, typer.Option(min=1, help="Rows to verify on.")] = 32,
    tolerance: Annotated[
        float, typer.Option(min=0, help="How many times the usual difference from the adapter passes.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Make a folder that serves without TexLens of a run's adapter, and verify that it reads as the adapter does.

    A folder that fails is kept as DIR.failed, and the exit code is 2.

    Examples:

        texlens export runs/nano -o exported/nano

        texlens export runs/nano --format nf4 -o exported/nano-nf4 --rows 64
    """
    from texlens.evaluate.saved_run import open_run
    from texlens.export.pipeline import export_run
    from texlens.workflows.verify import verify as verified

    config, folder = open_run(run, overrides or ())
    console = message_console()

    def check(made: Path):
        return verified(config, folder, made, rows=rows, tolerance=tolerance, console=console)

    done = export_run(
        config,
        folder,
        output,
        form,
        force=force,
        quantize_vision=quantize_vision,
        calibration_rows=calibration_rows,
        check=check if verify else None,
        console=console,
    )
    if as_json:
        print_json({"folder": str(done.folder), "commands": done.commands, **done.card.to_json()})
        return
    out = result_console()
    size, base = done.card.sizes["weights"], done.card.sizes["base"]
    out.print(f"{done.folder}: {form}, {size / 2**20:,.1f} MiB of weights (base {base / 2**20:,.1f} MiB)")
    if done.card.verified:
        from texlens.cli.using.verify import told

        out.print(told(done.card.verified))
    out.print("serve it with:" if done.commands else "no other program serves this adapter; texlens serve does")
    for command in done.commands:
        out.print(f"  {command}", markup=False)
