"""`texlens calibrate`"""

import typer

from texlens.cli.shared import (
    CacheChoice,
    Json,
    OldNoCache,
    Overrides,
    RunArgument,
    check_split,
    message_console,
    print_json,
    result_console,
    uses_cache,
)


def calibrate(
    run: RunArgument,
    split: str = typer.Option("validation", help="Rows that training did not learn from."),
    overrides: Overrides = None,
    cache: CacheChoice = True,
    ignore_cache: OldNoCache = False,
    as_json: Json = False,
) -> None:
    """Fit how certain a run's readings are, so that `read --confidence` and `serve` report true probabilities.

    Examples:

        texlens calibrate runs/nano

        texlens calibrate runs/nano --split test --json
    """
    from texlens.evaluation.saved_run import open_run
    from texlens.workflows.calibrate import calibrate_run

    check_split(split)
    config, folder = open_run(run, overrides or ())
    with folder.locked():
        calibration = calibrate_run(
            config, folder, split=split, use_cache=uses_cache(cache, ignore_cache), console=message_console()
        )
    if as_json:
        print_json({"run": str(folder.path), "split": split, "calibration": calibration.to_json()})
        return
    result_console().print(
        f"{calibration.right} of {calibration.rows} rows right; temperature {calibration.temperature:.3g}; expected "
        f"calibration error {calibration.error_before:.3f} before, {calibration.error_after:.3f} after; stored in "
        f"{folder.adapter}",
        markup=False,
    )
