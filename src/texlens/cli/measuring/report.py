"""`texlens report`"""

from typing import Annotated

import typer

from texlens.cli.shared import RunArgument, result_console


def report(
    run: RunArgument,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
) -> None:
    """Write a run's report.html again from the predictions that are there; nothing is read anew.

    Example:

        texlens report runs/nano
    """
    from texlens.evaluate.run import open_run, report_run

    config, folder = open_run(run)
    with folder.locked():
        report_run(config, folder, split=split)
    result_console().print(f"report: {folder.report}")
