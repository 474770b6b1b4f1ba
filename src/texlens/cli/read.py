"""`texlens read`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, print_json


def read(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    model: Annotated[
        str,
        typer.Option(metavar="RUN", help="A run folder, a checkpoint folder or a hub id; default: the shipped model."),
    ] = "nano",
    batch_size: Annotated[int, typer.Option(min=1, help="Images read at once.")] = 16,
    as_json: Json = False,
) -> None:
    """Read images into LaTeX: one line an image, in their order.

    An image that can't be read is named on standard error, and the exit code is then 2.

    Examples:

        texlens read formula.png

        texlens read scans/*.png --model runs/nano --json
    """
    from texlens.core.errors import DataError
    from texlens.data.sample import LazyImage, Sample

    if not any(path.is_file() for path in images):
        raise DataError(f"{images[0]}: no such image file; check the path")

    from texlens.serve.reader import open_reader

    samples = [Sample(f"{number}:{path}", LazyImage.from_file(path), "") for number, path in enumerate(images)]
    predictions = open_reader(model).read(samples, batch_size=batch_size)
    rows = [
        {"image": str(path), "text": made.text, "stop": made.stop, "tokens": made.tokens}
        | ({"error": made.error} if made.error else {"log_probability": made.log_probability})
        for path, made in zip(images, predictions, strict=True)
    ]
    if as_json:
        print_json({"model": model, "readings": rows})
    else:
        for row in rows:
            typer.echo(row["text"] if len(rows) == 1 else f"{row['image']}\t{row['text']}")
    failed = [made.error for made in predictions if made.stop == "failed"]
    if failed:
        raise DataError("; ".join(str(reason) for reason in failed))
