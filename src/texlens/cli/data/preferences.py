"""`texlens data preferences` and `texlens data best-of-n`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from texlens.cli.data.statistics import Output, Overwrite, Seed, Subset, print_statistics
from texlens.cli.progress import total_bar
from texlens.cli.shared import Checkpoint, Json, message_console

if TYPE_CHECKING:
    from texlens.workflows.preferences.draw import Choice, DrawOptions
    from texlens.workflows.preferences.sources import AnswerSource

Model = Annotated[str | None, typer.Argument(metavar="RUN", help="Who draws: a run, an adapter or a checkpoint.")]
DataPath = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="Rows, as in data.path; a run has its own.")
]
Split = Annotated[str, typer.Option(help="Whose rows; of --data, the data set's own name.")]
Samples = Annotated[int, typer.Option("-n", "--samples", min=1, help="Answers drawn to each row.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Of the draws; 0 takes the likeliest tokens.")]
Tokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="An answer is cut here.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most this many rows, drawn by --seed.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows that are read together.")]
Scores = Annotated[
    str,
    typer.Option("--scores", metavar="NAME=WEIGHT,…", help="What answers are compared by; the names are rewards'."),
]
DEFAULT_SCORES = "exact=1,cdm_f1=1,valid=0.5,length=0.5"


def preferences(
    output: Output,
    model: Model = None,
    data: DataPath = None,
    subset: Subset = None,
    split: Split = "train",
    origin: Annotated[
        Literal["samples", "corrected"],
        typer.Option("--from", help="Where answers come from: the model, or rows that were corrected."),
    ] = "samples",
    samples: Samples = 8,
    temperature: Temperature = 1.0,
    max_new_tokens: Tokens = 256,
    scores: Scores = DEFAULT_SCORES,
    margin: Annotated[float, typer.Option(min=0.0, help="How much better the best answer must be.")] = 0.2,
    chosen: Annotated[
        Literal["sample", "text"], typer.Option(help="The good answer: the best sample, or the row's own text.")
    ] = "sample",
    column: Annotated[str, typer.Option(help="With --from corrected: the column of the worse text.")] = "corrected",
    edits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --from corrected: rows whose label this edits file corrects."),
    ] = None,
    limit: Limit = None,
    batch_size: BatchSize = 16,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make pairs of a good and a bad answer, for train.objective: dpo, kto or orpo.

    A call that was stopped goes on where it was.

    Examples:

        texlens data preferences runs/nano -o data/pairs --samples 8 --margin 0.2
        texlens data preferences --data data/slips --from corrected -o data/pairs
    """
    from texlens.core.errors import ConfigError
    from texlens.workflows.preferences.draw import DrawOptions, pairs
    from texlens.workflows.preferences.sources import AnswerSource, read_source_rows, weights_of

    source = AnswerSource(model, data, subset, split, limit, checkpoint)
    if origin == "corrected":
        from texlens.workflows.preferences.corrected import corrected_rows

        rows = read_source_rows(source, seed)
        statistics, stood_there = corrected_rows(rows, output, column=column, edits=edits, overwrite=overwrite)
        print_statistics(output, statistics, stood_there, as_json)
        return
    if edits is not None or column != "corrected":
        name = "--edits" if edits is not None else "--column"
        raise ConfigError(f"{name} goes with --from corrected; add it, or leave {name} out")
    if samples < 2 and chosen == "sample":
        raise ConfigError("--samples 1 leaves nothing to compare; raise it, or add --chosen text")
    options = DrawOptions(samples, temperature, max_new_tokens, weights_of(scores), batch_size, seed)
    choice = pairs(margin, use_text=chosen == "text")
    made_by = {"command": "preferences", "margin": margin, "chosen": chosen}
    _draw(source, output, options, choice, made_by=made_by, overwrite=overwrite, as_json=as_json)


def best_of_n(
    output: Output,
    model: Model = None,
    data: DataPath = None,
    subset: Subset = None,
    split: Split = "train",
    samples: Samples = 8,
    temperature: Temperature = 1.0,
    max_new_tokens: Tokens = 256,
    scores: Scores = "cdm_f1=1",
    at_least: Annotated[float, typer.Option(help="The score that the best answer must reach.")] = 1.0,
    limit: Limit = None,
    batch_size: BatchSize = 16,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Rejection fine-tuning: keep the best of n answers of the model, to train on them with train.objective: sft.

    Example:

        texlens data best-of-n runs/nano -o data/best --samples 8 --at-least 0.95
    """
    from texlens.workflows.preferences.draw import DrawOptions, best
    from texlens.workflows.preferences.sources import AnswerSource, weights_of

    source = AnswerSource(model, data, subset, split, limit, checkpoint)
    options = DrawOptions(samples, temperature, max_new_tokens, weights_of(scores), batch_size, seed)
    made_by = {"command": "best-of-n", "at_least": at_least}
    _draw(source, output, options, best(at_least), made_by=made_by, overwrite=overwrite, as_json=as_json)


def _draw(
    source: "AnswerSource",
    output: Path,
    options: "DrawOptions",
    choice: "Choice",
    *,
    made_by: dict[str, Any],
    overwrite: bool,
    as_json: bool,
) -> None:
    from texlens.workflows.preferences.sources import draw_from

    with total_bar(message_console(), "drawing answers") as on_progress:
        statistics, stood_there = draw_from(
            source,
            output,
            options,
            choice,
            made_by=made_by,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    print_statistics(output, statistics, stood_there, as_json)
