"""`texlens plan`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, Overrides, print_json, result_console


def plan(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml")],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Say what a run would train, before any weight is downloaded: parameters, coverage, tokens, steps.

    Example:

        texlens plan recipes/qwen3-vl-4b_latex-ocr_lora.yaml --set adapter.rank=8 --json
    """
    from texlens.config.load import load_config
    from texlens.train.plan import plan_run

    config = load_config(run_file, overrides or ())
    planned = plan_run(config)
    if as_json:
        print_json(planned.to_json())
        return
    console = result_console()
    total = planned.base_parameters + planned.adapter.added
    console.print(coverage_table(planned.adapter))
    console.print(
        f"{planned.adapter.trainable:,} trainable of {total:,} parameters ({planned.adapter.trainable / total:.3%})"
    )
    if planned.tokens:
        tokens = planned.tokens
        about = "" if tokens.exact else "about "
        console.print(
            f"{tokens.rows:,} rows, {about}{tokens.per_sample:,.0f} tokens a row (longest {tokens.longest:,}), "
            f"{about}{tokens.image + tokens.text:,} an epoch"
        )
    if planned.steps:
        console.print(f"{planned.steps:,} optimiser steps")
    for note in planned.notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def coverage_table(adapter):
    """The groups of layers, how many of each are adapted, and at what cost."""
    from rich.table import Table

    table = Table("module group", "adapted", "trainable parameters", "share", box=None, title_justify="left")
    for row in adapter.coverage:
        share = row.parameters / max(adapter.trainable, 1)
        how = ", in full" if row.full and row.matched else ""
        table.add_row(row.group, f"{row.matched} of {row.total}{how}", f"{row.parameters:,}", f"{share:.1%}")
    return table
