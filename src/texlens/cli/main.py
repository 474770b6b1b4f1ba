"""The `texlens` command. Each subcommand is a thin file of this folder and imports what is heavy when it runs."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer

from texlens.cli import data
from texlens.cli.errors import as_run_errors
from texlens.cli.formulas import canonical, render
from texlens.cli.help import HelpGroup, use_help_commands
from texlens.cli.measuring import calibrate, compare, evaluate, report, score
from texlens.cli.training import init, learn, models, plan, recipes, runs, sweep, train
from texlens.cli.translated_help import CLICK_ERROR, usage_error_text
from texlens.cli.using import board, doctor, export, push, read, serve, ui, verify
from texlens.core.dotenv import load_dotenv
from texlens.core.errors import Interrupted, TexlensError, one_line
from texlens.core.language import is_chinese, translated
from texlens.core.version import VERSION
from texlens.training.distributed.launch import RENDEZVOUS
from texlens.training.distributed.process_end import end_process, is_launched_process

STOPPED = 130
"""What Typer exits with after Ctrl-C."""

TOPICS: dict[str, tuple[Callable, ...]] = {
    "Train": (init.init, train.train, learn.learn, sweep.sweep, plan.plan, runs.runs),
    "Measure": (evaluate.evaluate, compare.compare, report.report, calibrate.calibrate, score.score),
    "Use": (read.read, serve.serve, ui.ui, board.board, export.export, push.push, verify.verify),
    "Formulas": (canonical.canonical, render.render),
    "This machine": (doctor.doctor,),
}
"""Commands by the topic under which `texlens --help` lists them."""


class TexlensGroup(HelpGroup):
    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Typer's, with its usage errors in the language of `TEXLENS_LANG`."""
        if not (standalone_mode and is_chinese()):
            return super().main(*args, standalone_mode=standalone_mode, **extra)
        try:
            code = super().main(*args, standalone_mode=False, **extra)
        except CLICK_ERROR as error:
            print(usage_error_text(error), file=sys.stderr)
            sys.exit(error.exit_code)
        sys.exit(code or 0)

    topics = {command.__name__: topic for topic, commands in TOPICS.items() for command in commands} | {
        "data": "Data and models",
        "models": "Data and models",
        "recipes": "Train",
    }


app = typer.Typer(
    name="texlens",
    cls=TexlensGroup,
    help="""Fine-tune Qwen vision-language models to read images into text, formulas into LaTeX first of all,
and prove what the tuning did.

Example, on a laptop, with the model and data that ship:

    texlens train nano_latex-ocr_lora
    texlens read formula.png
""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in TOPICS.values():
    for command in commands:
        app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(recipes.app, name="recipes")
use_help_commands(app)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"texlens {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    pass


def _quieten_libraries() -> None:
    """transformers warns about its own names; progress bars are for terminals."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # on a CPU it warns of missing kernels


def main() -> None:
    """Exit codes: 0 done, 1 a bug (with a traceback), 2 something the user can fix (in one line), 130 stopped."""
    _quieten_libraries()
    try:
        with as_run_errors():
            load_dotenv()
            app(prog_name="texlens", standalone_mode=True)
    except TexlensError as error:
        print(translated(f"texlens: {one_line(error)}"), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except SystemExit as stop:
        if stop.code == STOPPED and not isinstance(stop, Interrupted) and RENDEZVOUS not in os.environ:
            stopped = "texlens: stopped; `texlens train --resume RUN` goes on with a training"
            print(translated(stopped), file=sys.stderr)
        if is_launched_process() and isinstance(stop.code, int | None):
            end_process(stop.code or 0)
        raise
