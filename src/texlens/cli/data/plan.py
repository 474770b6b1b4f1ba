"""`texlens data plan`"""

from typing import Annotated

import typer

from texlens.cli.data.opening import FamilyOption, geometry_for, open_splits
from texlens.cli.shared import Json, message_console, print_json, result_console


def plan(
    source: Annotated[str, typer.Argument(metavar="DIR|ID|FILE", help="A folder, a file or a hub's id.")],
    family: FamilyOption = "qwen3-vl",
    min_pixels: Annotated[int | None, typer.Option(min=1, help="The budget's floor; default: the family's.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="The budget's ceiling; default: the family's.")] = None,
    context: Annotated[int, typer.Option(min=1, help="Tokens that a row may have.")] = 32_768,
    line_pixels: Annotated[int, typer.Option(min=1, help="How high the shortest images should be after scaling.")] = 64,
    subset: Annotated[str | None, typer.Option(help="The data set's configuration, such as small.")] = None,
    split: Annotated[str | None, typer.Option(help="One split alone; default: all.")] = None,
    format: Annotated[str, typer.Option(help="How rows are read; auto looks at the files.")] = "auto",
    allow_outside: Annotated[bool, typer.Option(help="Let data files name images outside their folder.")] = False,
    as_json: Json = False,
) -> None:
    """Plan the resolution from image headers: tokens, scaling, distortion, and the pixel budget to take.

    Example:

        texlens data plan linxy/LaTeX_OCR --subset small --family qwen3-vl
    """
    from texlens.cli.progress import row_bar
    from texlens.core.errors import DataError
    from texlens.data.resolution import plan_resolution, read_sizes

    geometry = geometry_for(family, min_pixels, max_pixels)
    splits = open_splits(source, subset=subset, format=format, allow_outside=allow_outside)
    if split is not None and split not in splits:
        raise DataError(f"{source}: no split {split!r}, only {', '.join(splits)}")
    chosen = [rows for name, rows in splits.items() if split in (None, name)]
    with row_bar(message_console(), "reading headers", sum(map(len, chosen))) as advance:
        sizes = read_sizes(chosen, on_progress=advance)
    planned = plan_resolution(sizes, geometry, context=context, line_pixels=line_pixels)
    if as_json:
        print_json({"family": family, **planned.to_json()})
    else:
        from texlens.data.resolution_view import show_plan

        show_plan(result_console(), planned, family)
