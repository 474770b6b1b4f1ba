"""`texlens verify`"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from texlens.cli.shared import Json, Overrides, message_console, print_json, result_console


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `texlens export` made.")],
    against: Annotated[Path, typer.Option("--against", metavar="RUN", help="The run that it was made from.")],
    rows: Annotated[int, typer.Option(min=1, help="Rows to read.")] = 32,
    tolerance: Annotated[
        float, typer.Option(min=0, help="How many times the usual difference from the adapter passes.")
    ] = 1.0,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Check that an exported folder reads as its adapter does: first-token logits, texts, scores; else exit code 2.

    Example:

        texlens verify exported/nano-nf4 --against runs/nano --rows 64
    """
    from texlens.core.errors import ExportError
    from texlens.evaluation.saved_run import open_run
    from texlens.workflows.verify import verify as verify_export

    config, run = open_run(against, overrides or ())
    verification = verify_export(config, run, folder, rows=rows, tolerance=tolerance, console=message_console())
    if as_json:
        print_json(verification.to_json())
    else:
        result_console().print(summary(verification.to_json()))
    if verification.faults:
        raise ExportError(
            f"{folder}: reads differently from the adapter ({'; '.join(verification.faults)}); export it in a format "
            f"that loses less, or raise --tolerance"
        )


def summary(verification: Mapping[str, Any]) -> str:
    """A verification in a few lines."""
    first = verification["first_token"]
    lines = [
        f"{verification['rows']} rows of {verification['split']}: {verification['same_texts']} texts the same",
        f"first token: same on {100 * first['top1']:.1f}% of rows, KL {first['kl_mean']:.2g} nats on average "
        f"({first['kl_max']:.2g} at most), logits differ by {first['mean_abs']:.2g} ({first['max_abs']:.2g} at most)",
    ]
    if (same := verification.get("same_generated")) is not None:
        lines.append(f"generate() with its generation_config.json: {same} of {verification['rows']} texts the same")
    lines += [
        f"{name}: adapter {100 * score['adapter']:.1f}%, here {100 * score['artifact']:.1f}%, difference "
        f"{100 * score['difference']:+.1f} points (95%: {100 * score['low']:+.1f} … {100 * score['high']:+.1f})"
        for name, score in verification["scores"].items()
    ]
    return "\n".join(lines)
