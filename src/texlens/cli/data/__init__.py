"""`texlens data`: one file a command."""

import typer

from texlens.cli.data import (
    catalog,
    export,
    import_,
    inspect,
    mix,
    plan,
    preferences,
    show,
    split,
    synth,
    tasks,
    validate,
)

app = typer.Typer(help="Data sets: fetch, convert, check, divide, mix and look at them.", no_args_is_help=True)


@app.callback()
def group() -> None:
    pass


app.command("import")(import_.import_)
app.command()(import_.convert)
app.command()(catalog.catalog)
app.command()(split.split)
app.command()(synth.synth)
app.command()(preferences.preferences)
app.command()(preferences.best_of_n)
app.command()(mix.mix)
app.command()(tasks.tasks)
app.command()(export.export)
app.command()(show.show)
app.command()(validate.validate)
app.command()(plan.plan)
app.command()(inspect.inspect)
