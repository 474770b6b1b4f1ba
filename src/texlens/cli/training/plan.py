"""`texlens plan`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, Overrides, message_console, print_json, result_console


def plan(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="A run file, or a recipe's name.")],
    overrides: Overrides = None,
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", metavar="GPU", help="Also memory and time on this GPU: h200, rtx4090, … or auto."),
    ] = None,
    gpus: Annotated[
        int, typer.Option("--gpus", metavar="N", min=1, help="With --gpu: share the rows of a step among N of them.")
    ] = 1,
    fitted: Annotated[
        Path | None,
        typer.Option("--fit", metavar="FILE.yaml", help="With --gpu: write the run file with settings that fit."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a run would train and cost before any weight is downloaded: parameters, tokens, memory, time.

    Examples:

        texlens plan qwen3-vl-4b_latex-ocr_lora --set adapter.rank=8 --json

        texlens plan qwen3-vl-4b_latex-ocr_lora --gpu rtx4090 --fit mine.yaml
    """
    from texlens.config.load import load_config
    from texlens.core.errors import ConfigError
    from texlens.data.readers.location import check_location

    if gpus > 1 and not gpu:
        raise ConfigError("--gpus needs to know which GPU: add --gpu, such as --gpu h20 or --gpu auto")
    if fitted and not gpu:
        raise ConfigError("--fit needs a GPU: add --gpu, such as --gpu rtx4090 or --gpu auto")
    config = load_config(run_file, overrides or ())
    check_location(config.data.path)

    from texlens.workflows.run_cost import plan_with_cost

    costed = plan_with_cost(config, gpu, gpus, message_console())
    if fitted:
        _write_fitted(config, costed.on_gpu, fitted)
    if as_json:
        print_json(costed.to_json())
        return
    console = result_console()
    show_parameters(costed.run, console)
    if costed.on_gpu:
        show_gpu(costed.on_gpu, console)
    if costed.on_cpu:
        show_cpu(costed.on_cpu, console)
    if fitted:
        console.print(f"written: {fitted}")


def show_parameters(planned, console) -> None:
    total = planned.base_parameters + planned.adapter.added
    console.print(coverage_table(planned.adapter))
    console.print(
        f"{planned.adapter.trainable:,} trainable of {total:,} parameters ({planned.adapter.trainable / total:.3%})"
    )
    if planned.adapter.added:
        console.print(f"{planned.adapter.added_bytes / 1e6:,.1f} MB of adapter tensors in each checkpoint")
    if planned.tokens:
        tokens = planned.tokens
        about = "" if tokens.exact else "about "
        console.print(
            f"{tokens.rows:,} rows, {about}{tokens.per_sample:,.0f} tokens a row (longest {tokens.longest:,}), "
            f"{about}{tokens.image + tokens.text:,} an epoch"
        )
    if planned.steps:
        console.print(f"{planned.steps:,} optimizer steps")
    for note in planned.notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def show_gpu(plan, console) -> None:
    from texlens.planner.fit import as_overrides

    console.print()
    console.print(memory_table(plan))
    verdict = "fits" if plan.fits else "does not fit"
    each = f" on each of {plan.gpus} GPUs" if plan.gpus > 1 else ""
    console.print(f"{verdict}: {plan.memory.total:.1f} of {plan.gpu.memory_gib:.1f} GiB{each}, backend {plan.backend}")
    epoch = f", {_duration(plan.seconds_per_epoch)} an epoch" if plan.seconds_per_epoch else ""
    console.print(f"about {plan.rows_per_second:.1f} rows/s, bound by {plan.time.bound}{epoch}")
    if plan.sharing:
        show_sharing(plan.sharing, plan.gpus, console)
    show_evaluation(plan.evaluation, console)
    if not plan.fits:
        if plan.change is None:
            console.print("no known change of settings makes it fit; take a smaller model or a larger GPU")
        else:
            sets = " ".join(f"--set {override}" for override in as_overrides(plan.change))
            console.print(f"fits with: {sets}", markup=False)
    for note in plan.notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def show_sharing(sharing, gpus: int, console) -> None:
    places, times = sharing.division.to_json(), sharing.communication
    console.print(
        f"weights: {places['weights']}, experts: {places['experts']}; each of {gpus} GPUs communicates "
        f"{1000 * (times.gathering + times.exchanging + times.reducing):.0f} ms a step "
        f"(gathering {1000 * times.gathering:.0f}, next to the computation; exchanging {1000 * times.exchanging:.0f}; "
        f"reducing {1000 * times.reducing:.0f})"
    )


def show_cpu(plan, console) -> None:
    total = f", {_duration(plan.seconds)} for all steps" if plan.seconds else ""
    console.print(f"on this CPU: about {plan.rows_per_s:.2g} rows/s{total}")
    show_evaluation(plan.evaluation, console)
    for note in plan.notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def show_evaluation(evaluation, console) -> None:
    if evaluation:
        rows = f"{evaluation.rows:,} test rows with base and adapter"
        console.print(f"afterwards about {_duration(evaluation.seconds)} to read {rows}")


def memory_table(plan):
    """GiB of each part at the peak, then their sum and what CUDA adds."""
    from rich.table import Table

    table = Table(f"peak memory on {plan.gpu.title}", "GiB", box=None, title_justify="left")
    for part, size in plan.memory.parts.items():
        if size >= 0.005:
            table.add_row(part, f"{size:.2f}")
    table.add_row("allocated", f"{plan.memory.allocated:.2f}", style="bold")
    table.add_row("CUDA context", f"{plan.memory.context:.2f}")
    table.add_row("fragmentation", f"{plan.memory.fragmentation:.2f}")
    return table


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _write_fitted(config, plan, path: Path) -> None:
    from texlens.config.load import dump_config
    from texlens.core.errors import ConfigError
    from texlens.core.files import write_text
    from texlens.planner.fit import with_changes

    changed = None if plan.change is None else with_changes(config, plan.change)
    if changed is None:
        raise ConfigError(
            f"--fit: no known change of settings makes this run fit {plan.gpu.title}; take a smaller model"
        )
    write_text(path, dump_config(changed))


def coverage_table(adapter):
    """The groups of layers, how many of each are adapted, and at what cost."""
    from rich.table import Table

    table = Table("module group", "adapted", "trainable parameters", "share", box=None, title_justify="left")
    for row in adapter.coverage:
        share = row.parameters / max(adapter.trainable, 1)
        how = ", in full" if row.full and row.matched else ""
        table.add_row(row.group, f"{row.matched} of {row.total}{how}", f"{row.parameters:,}", f"{share:.1%}")
    return table
