"""`texlens sweep`"""

import os
from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, Overrides, message_console, print_json, result_console
from texlens.cli.training.train import GROWING_SEGMENTS


def sweep(
    run_file: Annotated[Path | None, typer.Argument(metavar="RUN.yaml", help="A run file, or a recipe's name.")] = None,
    over: Annotated[
        list[str] | None,
        typer.Option("--over", metavar="KEY=VALUES", help="What to vary: key=8,16,32 or key=1e-5..3e-4. Repeatable."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many; default: every combination of choices.")] = None,
    sampler: Annotated[str, typer.Option(help="auto, grid, random, or tpe (needs Optuna).")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Draws the trials' values.")] = 0,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="Rank and judge trials by this score, such as exact_match; default: best_by."
        ),
    ] = None,
    stop_losers: Annotated[
        bool,
        typer.Option("--stop-losers/--no-stop-losers", help="End trials that are surely worse than an earlier one."),
    ] = True,
    overrides: Overrides = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="SWEEP", help="Go on with a sweep that was ended.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train with different settings in one process, and compare the trials on the validation rows in one report.

    Examples:

        texlens sweep nano_latex-ocr_lora --over adapter.rank=8,16

        texlens sweep nano_latex-ocr_lora --over adapter.rank=8,16 --by exact_match

        texlens sweep qwen3-vl-8b_latex-ocr_lora --set model.path=/models/Qwen3-VL-8B-Instruct
        --over adapter.rank=8,16,32 --over train.optimizer.learning_rate=1e-5..3e-4 --trials 12
    """
    from texlens.core.errors import ConfigError
    from texlens.core.run_folder import RunFolder
    from texlens.workflows.sweep.folder import SweepFolder
    from texlens.workflows.sweep.report import sweep_json, write_results
    from texlens.workflows.sweep.run import run_sweep, write_run_file

    os.environ.setdefault(*GROWING_SEGMENTS)
    if (run_file is None) == (resume is None):
        raise ConfigError("give either a run file to start or --resume SWEEP to go on, one of the two")
    if resume is not None and (over or overrides or trials or by):
        raise ConfigError("--resume goes on with the sweep's own settings; leave --over, --set, --by and --trials out")
    if resume is not None:
        folder, plan = SweepFolder.open(resume)
    else:
        options = {"trials": trials, "sampler": sampler, "seed": seed, "stop_losers": stop_losers, "by": by}
        plan, output = _planned(run_file, over or [], overrides or [], **options)
        folder = SweepFolder.create(output, plan)
    with RunFolder(folder.path).locked():
        result = run_sweep(
            folder, plan, console=message_console(), on_trial=lambda so_far: write_results(so_far, finished=False)
        )
        report = write_results(result, finished=True)
        best_file = write_run_file(result)
    if as_json:
        print_json({"sweep": str(folder.path), "report": str(report), **sweep_json(result, finished=True)})
        return
    console = result_console()
    console.print(_table(sweep_json(result, finished=True)))
    if result.best:
        console.print(f"best:   {folder.path / result.best.run}, settings in {best_file}", markup=False)
    console.print(f"report: {report}", markup=False)


def _planned(run_file, over, overrides, *, trials, sampler, seed: int, stop_losers: bool, by):
    """The sweep's plan and the folder for it; everything that can be checked before a folder is made.

    Raises:
        ConfigError: an impossible setting, value or sampler.
    """
    from texlens.config.load import load_config
    from texlens.workflows.sweep.folder import SweepPlan
    from texlens.workflows.sweep.ranking import ranking_named, settings_for
    from texlens.workflows.sweep.samplers import SAMPLERS, choose_sampler
    from texlens.workflows.sweep.space import parse_space

    config = load_config(run_file, overrides)
    ranking = ranking_named(by or config.train.validation.best_by)
    if by:
        config = load_config(run_file, [*overrides, *settings_for(config, ranking.name)])
    space = parse_space(over)
    name, count = choose_sampler(sampler, space, trials)
    values = config.model_dump(mode="json", exclude_unset=True)
    plan = SweepPlan(f"{config.name}-sweep", values, tuple(over), count, name, seed, stop_losers, by=ranking.name)
    output = Path(config.output)
    plan.config(SAMPLERS[name](space, seed, count).ask() or {}, output)
    return plan, output


def _table(content: dict):
    """The trials, the best first."""
    from rich.table import Table

    from texlens.workflows.sweep.ranking import Ranking

    ranking = Ranking(content["by"])
    keys = list(content["trials"][0]["settings"]) if content["trials"] else []
    table = Table("trial", *(key.rpartition(".")[2] for key in keys), ranking.title.lower(), "95%", "ended", box=None)
    for trial in content["trials"]:
        loss = trial.get(ranking.name)
        shown = (f"{loss['value']:.4f}", f"{loss['low']:.4f} … {loss['high']:.4f}") if loss else ("", "")
        verdict = trial["verdict"]
        ended = f"at step {verdict['step']}" if verdict else trial["state"]
        table.add_row(str(trial["number"]), *(str(value) for value in trial["settings"].values()), *shown, ended)
    return table
