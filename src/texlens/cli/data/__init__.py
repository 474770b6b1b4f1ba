"""`texlens data`: one file a command."""

import typer

from texlens.cli.data import show

app = typer.Typer(help="Data sets: look at what a run is trained on.", no_args_is_help=True)


@app.callback()
def group() -> None:
    pass


app.command()(show.show)
