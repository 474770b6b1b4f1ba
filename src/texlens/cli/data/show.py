"""`texlens data show`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, Overrides, message_console, print_json, result_console


def show(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="A run file, or a recipe's name.")],
    rows: Annotated[int, typer.Option(min=1, help="How many rows to show.")] = 3,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Show rows as the model is given them: image size, grid, pixel budget, and every token, labels in color.

    Example:

        texlens data show nano_latex-ocr_lora --rows 3
    """
    from texlens.config.load import load_config
    from texlens.inputs.build import read_split
    from texlens.inputs.token_view import examples_json, print_examples
    from texlens.models.build import build_base

    config = load_config(run_file, overrides or ())
    processor = build_base(config.model).processor
    samples = read_split(config.data, split)
    options = {"prompt": config.data.prompt, "system_prompt": config.data.system_prompt, "rows": rows}
    if as_json:
        print_json(examples_json(samples, processor.tokenizer, processor.geometry, **options))
    else:
        message_console().print(f"{config.data.path}, split {split}: {len(samples):,} rows")
        print_examples(result_console(), samples, processor.tokenizer, processor.geometry, **options)
