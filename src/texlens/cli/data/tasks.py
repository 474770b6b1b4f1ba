"""`texlens data tasks`"""

from typing import Annotated, Literal

import typer

from texlens.cli.data.opening import open_splits
from texlens.cli.data.statistics import Output, Overwrite, Seed, print_statistics
from texlens.cli.progress import row_bar
from texlens.cli.shared import Json, message_console


def tasks(
    source: Annotated[str, typer.Argument(metavar="DATA", help="The data set whose formulas are asked about.")],
    chosen: Annotated[
        list[str],
        typer.Argument(metavar="TASK=WEIGHT…", help="tree, counting, correction, spans; questions a row on average."),
    ],
    output: Output,
    layout: Annotated[
        Literal["questions", "rows"],
        typer.Option("--as", help="Further questions of a row, which share its image, or rows of their own."),
    ] = "questions",
    scored: Annotated[int, typer.Option(min=0, help="Rows of each task in the split `tasks`.")] = 100,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Add auxiliary questions about each formula's structure, made from its parse tree.

    They are trained on next to the row's own question, which alone is asked when a formula is read. The split `tasks`,
    made of test rows, scores them: `texlens evaluate RUN --set data.splits.test=tasks` has a score for each.

    Examples:

        texlens data tasks data/handwriting tree=1 counting=1 correction=0.5 spans=0.5 -o data/with-tasks
        texlens data tasks data/handwriting tree=1 --as rows -o data/with-tree --seed 7
    """
    from texlens.data.convert import write_parts
    from texlens.synthesis.tasks.add import TaskPlan, task_parts

    plan = TaskPlan(dict(map(_parsed, chosen)), seed, layout, scored)
    parts, counts = task_parts(open_splits(source), plan)
    made_by = {"command": "tasks", "tasks": dict(plan.weights), "as": layout, "scored": scored, "seed": seed}
    with row_bar(message_console(), "writing rows", sum(part.rows.total for part in parts)) as on_row:
        statistics, stood = write_parts(output, parts, made_by, overwrite=overwrite, on_row=on_row)
    print_statistics(output, {**statistics, "questions": dict(counts)}, stood, as_json)
    if not as_json:
        line = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        message_console().print(f"train questions: {line}", markup=False)


def _parsed(text: str) -> tuple[str, float]:
    """
    Example:
        "tree=0.5" -> ("tree", 0.5)
    """
    from texlens.core.errors import ConfigError

    name, _, weight = text.partition("=")
    try:
        return name, float(weight)
    except ValueError as error:
        raise ConfigError(f"{text}: no weight; write {name}=1, or {name}=0.5 for every other row") from error
