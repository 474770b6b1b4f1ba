"""`texlens report`"""

from texlens.cli.shared import RunArgument, Split, check_split, result_console


def report(run: RunArgument, split: Split = "test") -> None:
    """Write a run's report.html again from stored predictions; no row is read again.

    Example:

        texlens report runs/nano
    """
    from texlens.evaluation.run import report_run
    from texlens.evaluation.saved_run import open_run

    check_split(split)
    config, folder = open_run(run)
    with folder.locked():
        path = report_run(config, folder, split=split)
    result_console().print(f"report: {path}", markup=False)
