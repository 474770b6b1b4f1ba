"""One training run, from checked settings to a run folder with the best adapter in it."""

import time
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed
from transformers.utils import logging as transformers_logging

from texlens.adapters.build import build_adapter
from texlens.config.load import dump_config
from texlens.core.environment import describe_environment
from texlens.core.files import write_json, write_text
from texlens.models.build import build_model
from texlens.models.load import describe
from texlens.training.backends.choose import build_backend
from texlens.training.backends.protocol import StepBackend
from texlens.training.build import TrainContext, build_trainer
from texlens.training.checkpoints.folder import latest_complete
from texlens.training.feature_cache import with_feature_cache
from texlens.training.initialize import initialize_adapter
from texlens.training.logging.loss_plot import plot_loss
from texlens.training.logging.throughput import ThroughputMeter
from texlens.training.trainer import TexlensTrainer
from texlens.training.workers import WorkerPlan, plan_workers


def train(run: TrainContext, *, resume: bool = False) -> dict[str, Any]:
    """Trains inside the run folder, which the caller has locked; returns what run.json records of the training.

    All processes of a distributed run call this; only the main one writes into the folder.

    Raises:
        ConfigError: the backend, compilation or feature cache that is required is not possible here.
        RunError: nothing to resume from, or the loss is NaN or Inf.
    """
    config, prepared = run.config, run.prepared
    _silence_transformers()
    checkpoint = run.distributed.broadcast(lambda: _latest_checkpoint(run)) if resume else None
    if run.distributed.is_main:
        _record_inputs(run)
    set_seed(config.train.seed)
    adapted = _build_model(run, initialize=checkpoint is None)
    backend = build_backend(config, adapted, prepared.base.processor, run.distributed)
    splits = [rows for rows in (prepared.splits.train, prepared.splits.validation) if rows]
    geometry = prepared.base.processor.geometry
    backend = with_feature_cache(backend, config, geometry, splits)
    workers = plan_workers(backend, config, geometry, prepared.splits.train, run.distributed)
    _report_backend(run, backend, workers)
    trainer, throughput = build_trainer(run, adapted, backend, workers.count)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    start = time.monotonic()
    outcome = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if run.distributed.is_main:
        if not prepared.splits.validation:
            trainer.save_best()
        plot_loss(run.folder.history(), run.folder.loss_plot)
    results = _results(run, trainer, throughput, outcome.training_loss, time.monotonic() - start)
    _update(run, training=results, state="trained")
    return results


def _latest_checkpoint(run: TrainContext) -> Path | None:
    checkpoint = latest_complete(run.folder.checkpoints, run.warn)
    if checkpoint is None:
        run.console.print("no checkpoint yet: starting from the first step")
    return checkpoint


def _record_inputs(run: TrainContext) -> None:
    """What was decided, on what, with which rows: written before training starts."""
    folder = run.folder
    write_text(folder.config, dump_config(run.config))
    environment = describe_environment()
    if torch.cuda.is_available():
        environment["gpu"] = torch.cuda.get_device_name()
    write_json(folder.path / "environment.json", environment)
    write_json(folder.path / "data.json", run.prepared.splits.statistics())
    write_json(folder.path / "coverage.json", [row.to_json() for row in run.prepared.plan.coverage])
    folder.update(state="training", base=run.config.model.path, base_fingerprint=run.prepared.base.fingerprint)


def _update(run: TrainContext, **fields: Any) -> None:
    if run.distributed.is_main:
        run.folder.update(**fields)


def _build_model(run: TrainContext, *, initialize: bool) -> Any:
    config, prepared = run.config, run.prepared
    model = build_model(prepared.base, config.model, config.base)
    description = describe(model)
    _update(run, model=description)
    if not_fp8 := description.get("kept_in_16_bits"):
        run.console.print(
            f"note: no fp8 for {len(not_fp8)} layers whose widths are no multiples of 16 ({not_fp8[0]}, …)"
        )
    adapted = build_adapter(model, prepared.plan, config.adapter, seed=config.train.seed, base_path=config.model.path)
    if initialize:
        initialize_adapter(adapted, config, prepared.base, prepared.splits.train)
    return adapted


def _report_backend(run: TrainContext, backend: StepBackend, workers: WorkerPlan) -> None:
    notes = [*backend.notes, *([workers.note] if workers.note else [])]
    for note in notes:
        run.warn(f"note: {note}")
    processes = {"processes": run.distributed.world_size} if run.distributed.is_distributed else {}
    _update(
        run,
        engine={"name": backend.name, **processes, **backend.settings, "notes": notes},
        loader={"workers": workers.count},
    )


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
