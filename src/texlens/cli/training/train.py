"""`texlens train`"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from texlens.cli.shared import Json, Overrides, message_console, print_json, result_console
from texlens.core.language import translated
from texlens.core.own_process import module_command
from texlens.training.distributed.process_end import is_launched_process

GROWING_SEGMENTS = "PYTORCH_ALLOC_CONF", "expandable_segments:True"
"""Packs differ in size: without it PyTorch's allocator kept 117 GiB of an H200 where 55 were used."""

TRUST = "model.trust_remote_code"
"""Never taken from a run folder, so that `--resume` may be given it."""


def train(
    run_file: Annotated[Path | None, typer.Argument(metavar="RUN.yaml", help="A run file, or a recipe's name.")] = None,
    overrides: Overrides = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="RUN", help="Continue this run from its last checkpoint."),
    ] = None,
    accept_changes: Annotated[
        bool,
        typer.Option("--accept-changes", help="With --resume: continue although data, base or settings have changed."),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare", help="Afterwards, read the test rows with base and adapter and write the report."
        ),
    ] = True,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate/--no-calibrate", help="Afterwards, fit how certain readings are, on the validation rows."
        ),
    ] = True,
    rewards: Annotated[
        list[str] | None,
        typer.Option(
            "--reward",
            metavar="MODULE:FUNCTION[=WEIGHT]",
            help="With objective grpo: also reward by your own function of text and reference. May be repeated.",
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", metavar="N", min=1, help="Train on this many GPUs of this machine.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Train an adapter, then compare it with its base on the test rows.

    Examples:

        texlens train nano_latex-ocr_lora

        texlens train qwen3-vl-4b_latex-ocr_lora --set model.path=/models/Qwen3-VL-4B-Instruct
        --set data.path=linxy/LaTeX_OCR --set data.subset=small

        texlens train --resume runs/nano

        texlens train qwen3-vl-4b_latex-ocr_lora --set model.path=/models/Qwen3-VL-4B-Instruct
        --processes 4
    """
    from texlens.core.errors import ConfigError

    os.environ.setdefault(*GROWING_SEGMENTS)
    if (run_file is None) == (resume is None):
        raise ConfigError("give either a run file to start or --resume RUN to go on, one of the two")
    if accept_changes and not resume:
        raise ConfigError("--accept-changes goes with --resume RUN; leave it out")
    if resume and not accept_changes and any(override.partition("=")[0] != TRUST for override in overrides or ()):
        raise ConfigError(
            f"--set can't be used with --resume, except {TRUST}: a run keeps the settings it began with; to continue "
            "with others add --accept-changes"
        )
    if processes > 1 and is_launched_process():
        raise ConfigError(
            f"--processes can't be used here: RANK and WORLD_SIZE say that a launcher started this as one of "
            f"{os.environ['WORLD_SIZE']}; leave it out, or unset both"
        )
    if processes > 1:
        options = {"accept_changes": accept_changes, "compare": compare, "calibrate": calibrate, "as_json": as_json}
        raise typer.Exit(start_processes(processes, run_file, overrides, resume, rewards or (), **options))
    console = message_console()
    options = {"with_test": compare, "accept_changes": accept_changes, "rewards": rewards or ()}
    if is_launched_process():
        from texlens.cli.errors import as_run_errors
        from texlens.training.distributed.process_group import process_group

        with process_group() as context, as_run_errors():
            console.quiet = not context.is_main
            config, folder, result = _trained(run_file, overrides, resume, console, context=context, **options)
        if not context.is_main:
            return
    else:
        config, folder, result = _trained(run_file, overrides, resume, console, **options)
    if calibrate and (calibration := _calibration(config, folder, console)):
        result |= {"calibration": calibration.to_json()}
    comparison = None
    if compare and config.data.splits.test:
        from texlens.evaluation.run import compare_run

        with folder.locked():
            comparison = compare_run(config, folder, console=console)
        result |= {"comparison": comparison.to_json(), "report": str(comparison.report)}
    if as_json:
        print_json(result)
    else:
        show_result(result, comparison, folder, result_console())


def start_processes(
    processes: int,
    run_file,
    overrides,
    resume,
    rewards=(),
    *,
    accept_changes: bool,
    compare: bool,
    calibrate: bool,
    as_json: bool,
) -> int:
    """Runs this command in several processes; returns the exit code."""
    from texlens.training.distributed.launch import launch

    command = module_command("texlens", "train", *([str(run_file)] if run_file else []))
    command += [part for change in overrides or () for part in ("--set", change)]
    command += ["--resume", str(resume)] if resume else []
    command += [part for reward in rewards for part in ("--reward", reward)]
    command += ["--accept-changes"] if accept_changes else []
    command += ["--compare" if compare else "--no-compare", "--calibrate" if calibrate else "--no-calibrate"]
    command += ["--json"] if as_json else []
    return launch(command, processes)


def _trained(
    run_file, overrides, resume, console, *, with_test: bool, accept_changes: bool, rewards, context=None
) -> tuple[Any, Any, dict]:
    """Settings, run folder and the JSON result of a training."""
    from texlens.config.load import load_config
    from texlens.data.readers.location import check_location

    config = None if resume else load_config(run_file, overrides or ())
    if config:
        check_location(config.data.path)

    with console.status(translated("loading PyTorch and transformers")):
        from texlens.rewards.own import OwnReward
        from texlens.training.distributed.context import SINGLE_PROCESS
        from texlens.workflows.train_run import resume_run, start_run

    own_rewards = tuple(OwnReward.parse(reward) for reward in rewards)
    options = {
        "console": console,
        "with_test": with_test,
        "context": context or SINGLE_PROCESS,
        "own_rewards": own_rewards,
    }
    if config is None:
        run = resume_run(resume, overrides or (), accept_changes=accept_changes, **options)
    else:
        run = start_run(config, on_prepared=lambda prepared: show_plan(prepared, console), **options)
    return run.config, run.folder, {"run": str(run.folder.path), "training": run.training}


def _calibration(config, folder, console):
    """Of the adapter's confidence; None where the run has no rows for it."""
    from texlens.workflows.calibrate import calibrate_after_training

    with folder.locked():
        return calibrate_after_training(config, folder, console=console)


def show_plan(prepared, console) -> None:
    from texlens.cli.training.plan import coverage_table

    for role, checked in prepared.splits.checks.items():
        console.print(f"{role}: {len(checked.usable):,} rows, {checked.image_tokens:,} image tokens")
    console.print(coverage_table(prepared.plan))


def show_result(result: dict, comparison, folder, console) -> None:
    training = result["training"]
    console.print(
        f"trained {training['steps']} steps in {training['seconds']:.0f} s, "
        f"{training['samples_per_s']:.1f} samples/s, peak {training['peak_memory_gib']:.2f} GiB"
    )
    if memory := training.get("gpu_memory"):
        console.print(
            f"GPU memory: {memory['before_gib']:.2f} GiB before training, {memory['peak_gib']:.2f} at the peak "
            f"({memory['peak_share']:.1%} of {memory['total_gib']:.1f} GiB), {memory['training_gib']:.2f} for training "
            f"({memory['training_share']:.1%})"
        )
    console.print(f"adapter: {folder.adapter}", markup=False)
    if calibration := result.get("calibration"):
        console.print(
            f"confidence: calibrated on {calibration['rows']:,} validation rows; expected error "
            f"{calibration['error_before']:.3f} before, {calibration['error_after']:.3f} after"
        )
    if comparison is not None:
        from texlens.evaluation.tables import comparison_table

        console.print(comparison_table(comparison.comparison, comparison.title))
        console.print(f"report:  {comparison.report}", markup=False)
