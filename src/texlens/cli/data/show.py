"""`texlens data show`"""

from pathlib import Path
from typing import Annotated, Any

import typer

from texlens.cli.shared import Json, Overrides, message_console, print_json, result_console


def show(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="A run file, or a recipe's name.")],
    rows: Annotated[int, typer.Option(min=1, help="How many rows to show.")] = 3,
    row: Annotated[int | None, typer.Option(min=0, help="Only this row, counted from 0.")] = None,
    no_tokens: Annotated[bool, typer.Option("--no-tokens", help="Leave out the table of tokens.")] = False,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Show rows as the model is given them: image size, grid, pixel budget, and every token, labels in color.

    Example:

        texlens data show nano_latex-ocr_lora --rows 3

        texlens data show nano_latex-ocr_lora --row 2 --no-tokens
    """
    from texlens.config.load import load_config
    from texlens.core.errors import DataError
    from texlens.inputs.build import read_split
    from texlens.inputs.token_view import examples_json, print_examples
    from texlens.models.build import build_base

    config = load_config(run_file, overrides or ())
    processor = build_base(config.model).processor
    samples = read_split(config.data, split)
    if row is not None and row >= len(samples):
        raise DataError(f"{config.data.path}: no row {row} in split {split}; it has {len(samples):,}")
    chosen = range(min(rows, len(samples))) if row is None else range(row, row + 1)
    options: dict[str, Any] = {"prompt": config.data.prompt, "system_prompt": config.data.system_prompt}
    options |= {"rows": chosen, "tokens": not no_tokens}
    if as_json:
        print_json(examples_json(samples, processor.tokenizer, processor.geometry, **options))
    else:
        message_console().print(f"{config.data.path}, split {split}: {len(samples):,} rows", markup=False)
        print_examples(result_console(), samples, processor.tokenizer, processor.geometry, **options)
