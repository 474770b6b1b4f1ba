"""`texlens data synth`"""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from texlens.cli.data.statistics import Output, Overwrite, Seed, print_statistics
from texlens.cli.progress import total_bar
from texlens.cli.shared import Json, message_console


def synth(
    output: Output,
    rows: Annotated[int, typer.Option("-n", "--n", min=1, help="How many rows.")] = 1000,
    style: Annotated[
        Literal["printed", "handwriting", "screen", "photo"], typer.Option(help="How they look.")
    ] = "printed",
    seed: Seed = 0,
    formulas: Annotated[
        Path | None, typer.Option(metavar="LIST.txt", help="A list of formulas, one a line; may be gzipped.")
    ] = None,
    origin: Annotated[
        Literal["grammar", "pieces", "list"],
        typer.Option(
            "--from",
            help="Where formulas come from: a random grammar (its weights learnt from --formulas, where given), "
            "pieces of the list recombined, or the list as it is.",
        ),
    ] = "grammar",
    min_tokens: Annotated[int, typer.Option(min=1, help="The fewest LaTeX tokens.")] = 3,
    max_tokens: Annotated[int, typer.Option(min=1, help="The most LaTeX tokens.")] = 60,
    slips: Annotated[
        bool, typer.Option("--slips", help="Put a deliberate slip into each formula (a sign, index, bracket or digit).")
    ] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="Default: one a core.")] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make formulas and pictures of them; each row says how it was made.

    The rows depend on the options alone, not on how many processes make them. A run that was stopped goes on where it
    was.

    Examples:

        texlens data synth -o data/printed --n 100000
        texlens data synth -o data/hand --n 20000 --style handwriting --formulas mine.txt --from pieces
    """
    from texlens.core.errors import ConfigError
    from texlens.data.folder.statistics import statistics_if_made_by
    from texlens.synthesis import RowRecipe, read_labels, recipe_key, synthesize

    if origin != "grammar" and formulas is None:
        raise ConfigError(f"--from {origin} needs a list; add --formulas LIST.txt")
    if min_tokens > max_tokens:
        raise ConfigError(f"--min-tokens {min_tokens} is over --max-tokens {max_tokens}; swap them")
    limits = {"min_tokens": min_tokens, "max_tokens": max_tokens, "seed": seed}
    labels = read_labels(formulas, origin, **limits) if formulas else ()
    recipe = RowRecipe(style, origin, **limits, slips=slips, labels=labels)
    statistics = None if overwrite else statistics_if_made_by(output, recipe_key(recipe, rows))
    stood_there = statistics is not None
    if statistics is None:
        with total_bar(message_console(), "making rows") as on_progress:
            statistics = synthesize(
                recipe,
                output,
                rows,
                processes=processes or _cores(),
                overwrite=overwrite,
                on_progress=lambda done: on_progress(done, rows),
            )
    print_statistics(output, statistics, stood_there, as_json)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
