"""`texlens score`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, ShowAll, print_json, result_console
from texlens.core.notes import print_note


def score(
    predictions: Annotated[Path, typer.Argument(metavar="FILE", help="Predictions of any program, as JSON lines.")],
    reference: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of the reference, the right text.")
    ] = "reference",
    old_reference: Annotated[str | None, typer.Option("--truth", metavar="COLUMN", hidden=True)] = None,
    prediction: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the prediction.")] = "text",
    domain: Annotated[str, typer.Option(metavar="COLUMN", help="Column to slice by, if there.")] = "domain",
    id_column: Annotated[str, typer.Option("--id", metavar="COLUMN", help="Column that names rows, if there.")] = "id",
    metrics: Annotated[str, typer.Option(help="Names with commas, or all.")] = "all",
    cdm: Annotated[str, typer.Option(help="Rules of CDM: default, reference or reference-2024.")] = "default",
    renderer: Annotated[str, typer.Option(help="What draws for CDM: own, or tex where TeX Live is installed.")] = "own",
    preset: Annotated[str | None, typer.Option(help="Scores as other authors print them: uni-mumer.")] = None,
    clean: Annotated[
        bool, typer.Option(help="Remove code fences, prose and math delimiters around predictions.")
    ] = True,
    report: Annotated[Path | None, typer.Option(metavar="HTML", help="Write a report.")] = None,
    rows: Annotated[Path | None, typer.Option(metavar="JSONL", help="Write each row with its scores.")] = None,
    show_all: ShowAll = False,
    as_json: Json = False,
) -> None:
    """Score predictions of formulas against their references, with 95% intervals and slices.

    Examples:

        texlens score predictions.jsonl --reference gt --prediction pred

        texlens score predictions.jsonl --metrics cdm_f1,exact_match_canonical --rows scored.jsonl --json
    """
    from texlens.core.errors import ConfigError
    from texlens.evaluation.rows import PredictionColumns, read_rows, write_rows
    from texlens.evaluation.tables import scores_table, slices_table
    from texlens.metrics.pairs import score_predictions

    if old_reference is not None:
        print_note("--truth is the old name of --reference; it still works but will be removed")
        reference = old_reference
    if preset and report:
        raise ConfigError("--report shows our own scores; leave out --preset")
    own_rows, scored_rows = read_rows(predictions, PredictionColumns(reference, prediction, domain, id_column))
    scored = score_predictions(scored_rows, metrics=metrics, cdm=cdm, preset=preset, renderer=renderer, clean=clean)
    if rows:
        write_rows(rows, own_rows, scored_rows, scored)
    if report:
        from texlens.evaluation.report.scored import write_scored_report

        write_scored_report(report, predictions, scored_rows, cdm)
    if as_json:
        print_json({"file": str(predictions), **scored.to_json()})
    else:
        console = result_console()
        console.print(scores_table(scored.scores, predictions.name, show_all=show_all))
        console.print(slices_table(scored.slices))
        if scored.scores.cleaned:
            console.print(
                f"{scored.scores.cleaned:,} rows had a code fence, prose or math delimiters, which were removed"
            )
        if scored.rows_in_own_layout:
            console.print(f"{scored.rows_in_own_layout:,} rows were drawn by our own layout, since TeX can't draw them")
