"""One training run, from checked settings to a run folder with the best adapter in it."""

import shlex
import time
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from typing import Any

import torch
from transformers import set_seed
from transformers.utils import logging as transformers_logging

from texlens.adapters.build import build_adapter, build_metadata
from texlens.adapters.lora import adapter_digest, restore, save_adapter
from texlens.config.load import dump_config
from texlens.config.objective import NEEDS_START
from texlens.config.run import RunConfig
from texlens.core.environment import describe_environment
from texlens.core.errors import Interrupted
from texlens.core.files import whole_folder, write_json, write_text
from texlens.core.language import translated
from texlens.models.checkpoint import read_config
from texlens.models.load import describe
from texlens.models.meta_model import count_parameters, meta_model
from texlens.models.sharding.division import Division
from texlens.models.sharding.load import load_to_divide
from texlens.models.weight_rows.rows import WeightRows, no_rows
from texlens.training.backends.choose import build_backend
from texlens.training.backends.protocol import StepBackend
from texlens.training.build import TrainContext, build_trainer
from texlens.training.checkpoints.disk import check_free_space, needed_bytes
from texlens.training.checkpoints.state import saved_steps
from texlens.training.distributed.choose_division import choose_division, division_note
from texlens.training.distributed.process_group import REPEAT_S, graceful_sigterm
from texlens.training.feature_cache import with_feature_cache
from texlens.training.initial_weights.adapter_start import starting_adapter
from texlens.training.initial_weights.initialize import initialize_adapter
from texlens.training.logging.gpu_memory import GpuMemory
from texlens.training.logging.loss_plot import plot_loss
from texlens.training.logging.throughput import ThroughputMeter
from texlens.training.objectives.backend import ObjectiveBackend
from texlens.training.objectives.build import with_objective
from texlens.training.resume import OWN_REWARDS, Start, find_start, segments_with
from texlens.training.stop import StopRequest
from texlens.training.trainer import TexlensTrainer
from texlens.training.workers import WorkerPlan, plan_workers

START = "start"
"""Folder of the weights that a run began with, where its objective compares with them."""


def train(run: TrainContext, *, resume: bool = False, accept_changes: bool = False) -> dict[str, Any]:
    """Trains inside the run folder, which the caller has locked; returns what run.json records of the training.

    All processes of a distributed run call this; only the main one writes into the folder. SIGTERM or Ctrl-C ends the
    training after the step under way, with a checkpoint and the state `stopped`.

    Args:
        resume: continue from the latest checkpoint.
        accept_changes: continue although data, base or settings have changed since that checkpoint.

    Raises:
        ConfigError: the backend, compilation or feature cache that is required is not possible here.
        RunError: the loss is NaN or Inf, a step has no label, the disk is too small, or the folder was deleted.
        Interrupted: a signal ended the training.
    """
    config, prepared = run.config, run.prepared
    _silence_transformers()
    start = run.distributed.broadcast(lambda: find_start(run, accept_changes)) if resume else Start()
    if run.distributed.is_main:
        check_free_space(run.folder.path, _needed_bytes(run))
        _record_inputs(run, start)
    set_seed(config.train.seed)
    division = choose_division(config, prepared.base.folder, prepared.plan, run.distributed)
    adapted, rows_of = _build_model(run, division, initialize=start.checkpoint is None)
    with run.console.status(translated("building the kernels")):
        backend = build_backend(
            config, adapted, prepared.base.processor, run.distributed, division=division, rows_of=rows_of
        )
    splits = [rows for rows in (prepared.splits.train, prepared.splits.validation) if rows]
    geometry = prepared.base.processor.geometry
    backend = with_feature_cache(backend, config, geometry, splits)
    backend = _with_objective(run, backend, adapted, resumes=start.checkpoint is not None)
    workers = plan_workers(backend, config, geometry, prepared.splits.train, run.distributed)
    _report_backend(run, backend, workers)
    stop = StopRequest(REPEAT_S if run.distributed.is_distributed else 0.0)
    trainer, throughput = build_trainer(
        run, adapted, backend, workers.count, stop=stop, keep_new_options=bool(start.changes)
    )
    memory = GpuMemory.before_training()
    start_time = time.monotonic()
    with closing(backend) if isinstance(backend, ObjectiveBackend) else nullcontext():
        loss = _run_trainer(run, trainer, start, stop)
    run.folder.check_exists()
    if stop.signal_number is not None:
        _report_stop(run, trainer, stop.signal_number)
    if not prepared.splits.validation:
        trainer.save_best()
    if run.distributed.is_main:
        plot_loss(run.folder.history(), run.folder.loss_plot)
    results = _results(run, trainer, throughput, loss, time.monotonic() - start_time) | memory.after_training()
    _update(run, training=results, state="trained")
    del trainer, backend
    run.models.release(adapted)
    return results


def _with_objective(run: TrainContext, backend: StepBackend, adapted: Any, *, resumes: bool) -> StepBackend:
    """The objective compares with the model at the start, which is kept in the run folder."""
    config, folder = run.config, run.folder
    if _keeps_start(config):
        if resumes:
            restore(adapted, folder.path / START)
        elif run.distributed.is_main:
            metadata = build_metadata(config, run.prepared.base)
            with whole_folder(folder.path / START) as to:
                save_adapter(adapted, to, metadata)
    rows, processor = run.prepared.splits.train, run.prepared.base.processor
    return with_objective(backend, config, adapted, processor, rows, folder, run.distributed, run.own_rewards)


def _keeps_start(config: RunConfig) -> bool:
    """Full training that begins with the base needs no copy: a resumed run has the base before its checkpoint."""
    begins_with_base = config.adapter.kind == "full" and config.adapter.from_ is None
    return isinstance(config.train.objective, NEEDS_START) and not begins_with_base


def _run_trainer(run: TrainContext, trainer: TexlensTrainer, start: Start, stop: StopRequest) -> float:
    """Trains, or restores the weights of a training that had ended; returns the mean loss."""
    if start.finished and start.checkpoint:
        run.report(f"{start.checkpoint.name} is the end of the training: nothing is left to train")
        return trainer.restore(start.checkpoint)
    graceful = graceful_sigterm() if run.distributed.is_distributed else nullcontext()
    with graceful, stop.listening(run.warn):
        outcome = trainer.train(resume_from_checkpoint=str(start.checkpoint) if start.checkpoint else None)
    return outcome.training_loss


def _report_stop(run: TrainContext, trainer: TexlensTrainer, signal_number: int) -> None:
    _update(run, state="stopped", stopped_at_step=trainer.state.global_step)
    run.warn(
        f"stopped at step {trainer.state.global_step:,}, with a checkpoint; continue with: "
        f"texlens train --resume {shlex.quote(str(run.folder.path))}"
    )
    run.distributed.barrier()
    raise Interrupted(128 + signal_number)


def _needed_bytes(run: TrainContext) -> int:
    settings, model = run.config.train, read_config(run.prepared.base.folder)
    is_full = run.config.adapter.kind == "full"
    return needed_bytes(
        run.prepared.plan,
        keep=settings.checkpoints.keep,
        checkpoint_parameters=count_parameters(meta_model(model)) if is_full else 0,
        optimizer_bytes=2 if settings.optimizer.name == "adamw-8bit" else 8,
        keeps_start=_keeps_start(run.config),
    )


def _record_inputs(run: TrainContext, start: Start) -> None:
    """What was decided, on what, with which rows: written before training starts."""
    folder = run.folder
    if start.changes:
        folder.archive(folder.config)
        step = saved_steps(start.checkpoint)[0] if start.checkpoint else 0
        folder.update(segments=segments_with(folder, start, step, datetime.now(UTC).isoformat(timespec="seconds")))
    write_text(folder.config, dump_config(run.config))
    environment = describe_environment()
    if torch.cuda.is_available():
        environment["gpu"] = torch.cuda.get_device_name()
    write_json(folder.path / "environment.json", environment)
    write_json(folder.path / "data.json", run.prepared.splits.statistics())
    write_json(folder.path / "coverage.json", [row.to_json() for row in run.prepared.plan.coverage])
    manifest = {OWN_REWARDS: {reward.name: reward.weight for reward in run.own_rewards}} if run.own_rewards else {}
    folder.update(
        **manifest, state="training", base=run.config.model.path, base_fingerprint=run.prepared.base.fingerprint
    )


def _update(run: TrainContext, **fields: Any) -> None:
    if run.distributed.is_main:
        run.folder.update(**fields)


def _build_model(run: TrainContext, division: Division, *, initialize: bool) -> tuple[Any, WeightRows]:
    """The adapted model, and where the weights come from that it does not have yet."""
    config, prepared = run.config, run.prepared
    rows_of: WeightRows = no_rows
    if division.is_divided:
        settings, folder = config.model, prepared.base.folder
        options = {"device": settings.device, "dtype": settings.dtype, "attention": settings.attention}
        model, rows_of = load_to_divide(folder, division, quantize=config.base, **options)
    else:
        with run.console.status(translated("loading the model")):
            model = run.models.load(prepared.base, config.model, config.base)
    description = describe(model)
    _update(run, model=description)
    if not_fp8 := description.get("kept_in_16_bits"):
        run.report(f"note: no fp8 for {len(not_fp8)} layers whose widths are no multiples of 16 ({not_fp8[0]}, …)")
    adapted = build_adapter(model, prepared.plan, config.adapter, seed=config.train.seed, base_path=config.model.path)
    if initialize:
        _set_initial_weights(run, adapted)
    return adapted, rows_of


def _set_initial_weights(run: TrainContext, adapted: Any) -> None:
    """Those of the adapter that `adapter.from` names, else those of `adapter.init`.

    Raises:
        ModelError: an adapter on other layers.
    """
    folder = starting_adapter(run.config, run.prepared.base.fingerprint)
    if folder is None:
        initialize_adapter(adapted, run.config, run.prepared.base, run.prepared.splits.train)
        return
    restore(adapted, folder)
    full = run.config.adapter.kind == "full"
    run.report(f"going on from the weights in {folder}" if full else f"going on from the adapter in {folder}")
    _update(run, adapter_from={"path": str(folder), "sha256": adapter_digest(folder)})


def _report_backend(run: TrainContext, backend: StepBackend, workers: WorkerPlan) -> None:
    of_run = [*division_note(run.config, run.distributed), *_questions_note(run, backend)]
    notes = [*of_run, *backend.notes, *([workers.note] if workers.note else [])]
    for note in notes:
        run.warn(f"note: {note}")
    processes = {"processes": run.distributed.world_size} if run.distributed.is_distributed else {}
    _update(
        run,
        engine={"name": backend.name, **processes, **backend.settings, "notes": notes},
        loader={"workers": workers.count},
    )


def _questions_note(run: TrainContext, backend: StepBackend) -> list[str]:
    """What becomes of further questions about an image, where they don't share it in the pack."""
    questions = run.prepared.splits.checks["train"].more_questions
    if questions and isinstance(backend, ObjectiveBackend):
        kind = run.config.train.objective.kind
        return [f"{questions:,} further questions are left out: objective {kind} takes a row's own question"]
    if not questions or backend.name == "packed":
        return []
    return [f"{questions:,} further questions are rows of their own: the {backend.name} backend shares no image"]


def _results(
    run: TrainContext, trainer: TexlensTrainer, throughput: ThroughputMeter, loss: float, seconds: float
) -> dict[str, Any]:
    state = trainer.state
    is_distributed = run.distributed.is_distributed
    return {
        "steps": state.global_step,
        "epochs": round(state.epoch or 0.0, 4),
        "final_loss": round(loss, 6),
        "best_step": state.best_global_step,
        "best_metric": state.best_metric,
        "seconds": round(seconds, 1),
        "samples_per_s": round(throughput.rows / max(seconds, 1e-9), 2),
        "peak_memory_gib": round(max(run.distributed.all_gather(throughput.memory_gib)), 3),
        "trainable_parameters": run.prepared.plan.trainable,
        "rows_rejected_while_training": sorted(trainer.rejected),
        **({"rows_of_processes": throughput.rows_per_process} if is_distributed else {}),
    }


def _silence_transformers() -> None:
    """Our own progress reports what transformers would print."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
