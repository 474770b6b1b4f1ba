"""`texlens data export`"""

from typing import Annotated, Literal

import typer

from texlens.cli.data.opening import EditsOption, open_splits
from texlens.cli.data.statistics import Output, Overwrite, Subset, print_statistics
from texlens.cli.progress import row_bar
from texlens.cli.shared import Json, message_console


def export(
    source: Annotated[str, typer.Argument(metavar="DIR", help="A data set folder, or anything that convert reads.")],
    output: Output,
    to: Annotated[
        Literal["csv", "messages", "conversations", "sharegpt", "llava", "hf"], typer.Option(help="The format.")
    ],
    jpeg: Annotated[
        bool, typer.Option("--jpeg", help="Store images as JPEG (which loses a little), not as they are.")
    ] = False,
    ids: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Number the rows PREFIX_1, PREFIX_2, … in place of their ids.")
    ] = None,
    subset: Subset = None,
    edits: EditsOption = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a data set for other programs: a file a split, images in a folder beside (hf: parquet, images within).

    A row that the format can't hold whole (several images in a CSV, say) is rejected and named, never cut.

    Examples:

        texlens data export data/mine --to sharegpt -o for-llama-factory
        texlens data export data/mine --to csv --jpeg -o table
        texlens data export table/train.csv --to conversations --ids identity -o json
        texlens data export data/mine --edits edits.jsonl --to hf -o data/corrected
    """
    from texlens.core.errors import ConfigError
    from texlens.data.convert import SplitPart, write_parts
    from texlens.data.edits.edited_source import pinned
    from texlens.data.export import export as exported
    from texlens.data.writers.registry import WRITERS

    splits = open_splits(source, subset=subset, edits=edits)
    if jpeg and to == "hf":
        raise ConfigError("--jpeg: hf keeps images as they are; leave it out, or choose another format")
    if ids is not None and to == "hf":
        raise ConfigError("--ids: hf keeps the rows' ids, which edits refer to; leave it out, or choose another format")
    made_by = {"command": "export", "source": source, "to": to, **({"jpeg": True} if jpeg else {})}
    if ids is not None:
        made_by["ids"] = ids
    if subset is not None:
        made_by["subset"] = subset
    if edits is not None:
        made_by["edits"] = pinned(edits)
    with row_bar(message_console(), "writing rows", sum(rows.total for rows in splits.values())) as on_row:
        if to == "hf":
            parts = [SplitPart(split, rows) for split, rows in splits.items()]
            statistics, stood = write_parts(output, parts, made_by, overwrite=overwrite, on_row=on_row)
        else:
            statistics, stood = exported(
                splits, output, WRITERS[to], made_by, jpeg=jpeg, ids=ids, overwrite=overwrite, on_row=on_row
            )
    print_statistics(output, statistics, stood, as_json)
