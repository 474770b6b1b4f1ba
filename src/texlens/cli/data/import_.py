"""`texlens data import` and `texlens data convert`"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from texlens.cli.data.opening import ignored_files, print_ignored
from texlens.cli.data.statistics import (
    Format,
    ImageColumn,
    Output,
    Outside,
    Overwrite,
    Seed,
    Subset,
    TextColumn,
    print_statistics,
)
from texlens.cli.progress import row_bar
from texlens.cli.shared import Json, message_console, result_console

Limit = Annotated[int | None, typer.Option(min=1, help="At most this many rows of each split: the first ones.")]
Drawn = Annotated[bool, typer.Option("--shuffle", help="With --limit: rows drawn by --seed instead of the first.")]
Captions = Annotated[
    Literal["all", "one"], typer.Option(help="Of several captions of a COCO image: all as accepted answers, or one.")
]
Decode = Annotated[bool, typer.Option("--decode", help="Decode every image, and reject those that are damaged.")]


def import_(
    source: Annotated[str, typer.Argument(metavar="ID|PATH", help="A hub's id, modelscope:owner/name, or a path.")],
    output: Output,
    subset: Subset = None,
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated.")] = None,
    limit: Limit = None,
    shuffle: Drawn = False,
    seed: Seed = 0,
    format: Format = "auto",
    image_column: ImageColumn = "image",
    text_column: TextColumn = "text",
    captions: Captions = "all",
    decode: Decode = False,
    allow_outside: Outside = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Fetch a data set of Hugging Face or ModelScope, or take a local one, as a folder that every command reads.

    A run that was stopped goes on where it was. One that is done already takes a second.

    Examples:

        texlens data import linxy/LaTeX_OCR --subset small -o data/small
        texlens data import modelscope:AI-ModelScope/LaTeX_OCR --subset full --limit 1000 -o data/thousand
        texlens data import annotations/captions_val2017.json --limit 500 --captions one -o data/coco
        texlens data import paper.pdf -o data/paper
    """
    _write("import", locals())


def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A file or folder of any known format.")],
    output: Output,
    format: Format = "auto",
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated.")] = None,
    limit: Limit = None,
    shuffle: Drawn = False,
    seed: Seed = 0,
    image_column: ImageColumn = "image",
    text_column: TextColumn = "text",
    captions: Captions = "all",
    decode: Decode = False,
    allow_outside: Outside = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Turn files of any known format into a data set folder; the format is found by looking.

    Known: parquet, CSV, JSON and JSONL (conversations, messages, ShareGPT, LLaVA, flat rows), a folder of images with
    texts beside, COCO, im2latex lists, CROHME's InkML, and a .zip of any of these.

    Examples:

        texlens data convert labels.csv -o data/mine --image-column path --text-column latex
        texlens data convert photos/ -o data/mine
        texlens data convert train.json --format conversations -o data/mine
    """
    _write("convert", {**locals(), "subset": None})


def _write(command: str, arguments: dict[str, Any]) -> None:
    from texlens.core.errors import DataError
    from texlens.data.convert import SplitPart, write_parts
    from texlens.data.load import load_split
    from texlens.data.readers.protocol import ReadOptions
    from texlens.data.readers.registry import list_splits

    output: Path = arguments["output"]
    reading = {name: arguments[name] for name in ("subset", "image_column", "text_column", "allow_outside", "captions")}
    console = message_console()
    available = list(list_splits(arguments["source"], arguments["format"], ReadOptions(**reading)))
    missing = set(arguments["split"] or ()) - set(available)
    if missing:
        raise DataError(f"{arguments['source']}: no split {', '.join(sorted(missing))}; it has {', '.join(available)}")
    parts = []
    for name in arguments["split"] or available:
        rows = load_split(arguments["source"], split=name, format=arguments["format"], **reading)
        if arguments["limit"] is not None and arguments["shuffle"]:
            rows = rows.draw(limit=arguments["limit"], seed=arguments["seed"])
        elif arguments["limit"] is not None:
            rows = rows.first(arguments["limit"])
        parts.append(SplitPart(name, rows))
    made_by = {"command": command, "source": arguments["source"], **reading, "decode": arguments["decode"]}
    with row_bar(console, "writing rows", sum(part.rows.total for part in parts)) as on_row:
        statistics, stood = write_parts(
            output, parts, made_by, overwrite=arguments["overwrite"], decode=arguments["decode"], on_row=on_row
        )
    splits = {part.split: part.rows for part in parts}
    statistics = {**statistics, "ignored_files": ignored_files(splits)}
    print_statistics(output, statistics, stood, arguments["as_json"])
    if not arguments["as_json"]:
        print_ignored(splits, result_console())
