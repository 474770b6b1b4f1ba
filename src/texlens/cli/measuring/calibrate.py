"""`texlens calibrate`"""

import typer

from texlens.cli.shared import Json, Overrides, RunArgument, message_console, print_json, result_console


def calibrate(
    run: RunArgument,
    split: str = typer.Option("validation", help="Rows that training did not learn from."),
    overrides: Overrides = None,
    fresh: bool = typer.Option(False, "--fresh", help="Read the rows again although predictions are there."),
    as_json: Json = False,
) -> None:
    """Fit how sure a run's readings are, so that `read --confidence` and `serve` tell the truth about it.

    Examples:

        texlens calibrate runs/nano

        texlens calibrate runs/nano --split test --json
    """
    from texlens.evaluate.run import open_run
    from texlens.workflows.calibrate import calibrate_run

    config, folder = open_run(run, overrides or ())
    with folder.locked():
        made = calibrate_run(config, folder, split=split, fresh=fresh, console=message_console())
    if as_json:
        print_json({"run": str(folder.path), "split": split, "calibration": made.to_json()})
        return
    result_console().print(
        f"{made.right} of {made.rows} rows right; temperature {made.temperature:.3g}; expected calibration error "
        f"{made.error_before:.3f} before, {made.error_after:.3f} after; noted in {folder.adapter}"
    )
