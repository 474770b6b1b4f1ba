"""`texlens recipes`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, print_json, result_console

app = typer.Typer(help="Complete run files that ship with TexLens: list, show and copy them.", no_args_is_help=True)
RecipeName = Annotated[str, typer.Argument(metavar="NAME", help="A name that `texlens recipes list` prints.")]


@app.command("list")
def list_recipes(as_json: Json = False) -> None:
    """List the recipes, with what each trains. `texlens train NAME` runs one.

    Example:

        texlens recipes list
    """
    from texlens.config.recipes import recipes

    known = recipes().values()
    if as_json:
        print_json({"recipes": [{"name": recipe.name, "summary": recipe.summary} for recipe in known]})
        return
    console = result_console()
    for recipe in known:
        console.print(recipe.name, style="bold", markup=False)
        console.print(f"    {recipe.summary.split('. ')[0].removesuffix('.')}.", markup=False)


@app.command()
def show(name: RecipeName) -> None:
    """Print a recipe.

    Example:

        texlens recipes show nano_latex-ocr_lora
    """
    from texlens.config.recipes import recipe_named

    result_console().print(recipe_named(name).text.rstrip("\n"), markup=False)


@app.command()
def copy(
    name: RecipeName,
    to: Annotated[Path | None, typer.Argument(metavar="FILE.yaml", help="Default: NAME.yaml in this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Copy a recipe to a file of your own, to edit it.

    Example:

        texlens recipes copy nano_latex-ocr_lora mine.yaml
    """
    from texlens.config.recipes import recipe_named
    from texlens.core.errors import ConfigError
    from texlens.core.files import write_text

    recipe = recipe_named(name)
    path = to or Path(f"{name}.yaml")
    if path.exists() and not force:
        raise ConfigError(f"{path}: exists already; choose another name, or --force replaces it")
    write_text(path, recipe.text)
    result_console().print(f"written: {path}", markup=False)
