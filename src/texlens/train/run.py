"""One training run, from settings to a run folder with the best adapter in it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback, set_seed
from transformers.utils import logging as transformers_logging

from texlens.adapters.build import build_adapter, build_card, build_plan, check_tower, check_whole
from texlens.adapters.lora import save_adapter
from texlens.adapters.moe_lora.model import balance_of
from texlens.adapters.plan import AdapterPlan
from texlens.augment import build_transform
from texlens.config.load import dump_config
from texlens.config.run import RunConfig
from texlens.core.environment import describe_environment
from texlens.core.errors import DataError, RunError
from texlens.core.files import write_json, write_text
from texlens.core.run_folder import RunFolder
from texlens.inference.open import wrap_model
from texlens.inputs.build import Splits, build_splits, read_split
from texlens.inputs.dataset import ExampleDataset, Transform
from texlens.models.build import BaseCheckpoint, build_base, build_model, check_base
from texlens.models.checkpoint import read_config
from texlens.models.load import choose_device, describe
from texlens.models.processor import Processor, save_processor
from texlens.train.arguments import check_train_settings, training_arguments
from texlens.train.backends.engine import Engine, build_engine
from texlens.train.checkpoints.folder import last_whole
from texlens.train.distributed.context import ALONE, Processes
from texlens.train.feature_cache import with_features
from texlens.train.initialize import start_adapter
from texlens.train.logging.callbacks import Meter, MetricsLog, ProgressBar
from texlens.train.logging.experts import ExpertUseLog
from texlens.train.logging.loss_plot import plot_loss
from texlens.train.optimizer_groups import parameter_groups
from texlens.train.trainer import LensTrainer
from texlens.train.validation import EXACT_MATCH, Scorer, check_best_by
from texlens.train.workers import with_workers


@dataclass(frozen=True)
class Prepared:
    """All that is known, and checked, before any weight is loaded."""

    base: BaseCheckpoint
    splits: Splits
    plan: AdapterPlan


def prepare(config: RunConfig, console: Console, *, with_test: bool = False, processes: Processes = ALONE) -> Prepared:
    """Finds the checkpoint, reads and checks the rows, plans the adapter.

    Args:
        with_test: the test rows are read after training, so a test split that is not there is told now.
        processes: that call this alike.

    Raises:
        ConfigError, ModelError, DataError: whatever would stop the run, before it costs anything.
    """
    check_train_settings(config.train, torch.cuda.is_available())
    processes.check(choose_device(config.model.device))
    _fetch(config, processes)
    base = build_base(config.model)
    check_base(base.processor.family, config.model, config.base)
    model_config = read_config(base.folder)
    plan = build_plan(config.adapter, base.processor.family, model_config)
    check_whole(plan, config.base.quantize, model_config)
    check_tower(plan, config.base)
    if with_test and config.data.splits.test and not read_split(config.data, "test", limit=1).total:
        raise DataError(f"data.splits.test: no row in {config.data.splits.test}; name another split, or null for none")
    splits = build_splits(config.data, base.processor.tokenizer, base.processor.geometry, console=console)
    check_same(processes.gather(_known(base, splits)))
    return Prepared(base, splits, plan)


def _fetch(config: RunConfig, processes: Processes) -> None:
    """What comes from a hub is fetched by one process of each machine, before the others look for it."""
    if processes.several and processes.local_rank == 0:
        build_base(config.model)
        read_split(config.data, "train")
    processes.wait()


def _known(base: BaseCheckpoint, splits: Splits) -> dict[str, Any]:
    """What processes that share rows must know alike."""
    rows = {f"{role} rows": (len(one.usable), one.image_tokens) for role, one in splits.checks.items()}
    return {"weights": base.fingerprint, **rows}


def check_same(known: Sequence[Mapping[str, Any]]) -> None:
    """
    Args:
        known: by each process.

    Raises:
        RunError: they would train on different things, rows lost or taken twice.
    """
    for rank, other in enumerate(known):
        for name, value in known[0].items():
            if other.get(name) != value:
                raise RunError(
                    f"process {rank} finds other {name} ({other.get(name)}) than process 0 ({value}); "
                    "give all machines the same checkpoint and data"
                )


def train(
    config: RunConfig,
    prepared: Prepared,
    folder: RunFolder,
    *,
    console: Console,
    resume: bool = False,
    scorer: Scorer | None = None,
    processes: Processes = ALONE,
) -> dict:
    """Trains inside the run folder, which the caller has locked; returns the manifest's training facts.

    `scorer` scores the validation rows that the watch reads; without one it is exact match alone. Several `processes`
    call this alike; the main one alone writes into the folder.

    Raises:
        ConfigError: the best checkpoint is to be picked by a score that is not measured.
        RunError: nothing to resume from, or the loss is no number.
    """
    scorer = scorer or EXACT_MATCH
    check_best_by(config.train.watch, scorer)
    _quiet()
    write = folder.update if processes.main else _ignore
    checkpoint = processes.from_main(lambda: _last_checkpoint(folder, console)) if resume else None
    if processes.main:
        _record(config, prepared, folder)
    set_seed(config.train.seed)
    model = build_model(prepared.base, config.model, config.base)
    described = describe(model)
    write(model=described)
    if kept := described.get("kept_in_16_bits"):
        console.print(f"note: no fp8 for {len(kept)} layers whose widths are no multiples of 16 ({kept[0]}, …)")
    adapted = build_adapter(model, prepared.plan, config.adapter, seed=config.train.seed, base_path=config.model.path)
    if checkpoint is None:
        start_adapter(adapted, config, prepared.base, prepared.splits.train)
    engine = build_engine(config, adapted, prepared.base.processor, processes)
    splits = [prepared.splits.train, *([prepared.splits.validation] if prepared.splits.validation else [])]
    engine = with_features(engine, config, prepared.base.processor.geometry, splits)
    engine = with_workers(engine, config, prepared.base.processor.geometry, prepared.splits.train, processes)
    for note in engine.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
    several = {"processes": processes.count} if processes.several else {}
    write(
        engine={"name": engine.name, **several, **engine.facts, "notes": list(engine.notes)},
        loader={"workers": engine.workers},
    )
    trainer, meter = build_trainer(config, prepared, folder, adapted, console, scorer, engine, processes)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    outcome = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if processes.main:
        if not prepared.splits.validation:
            trainer.save_best()
        plot_loss(folder.history(), folder.loss_plot)
    facts = {
        "steps": trainer.state.global_step,
        "epochs": round(trainer.state.epoch or 0.0, 4),
        "final_loss": round(outcome.training_loss, 6),
        "best_step": trainer.state.best_global_step,
        "best_metric": trainer.state.best_metric,
        "seconds": round(time.monotonic() - began, 1),
        "samples_per_s": round(meter.rows / max(time.monotonic() - began, 1e-9), 2),
        "peak_memory_gib": round(max(processes.gather(meter.memory_gib)), 3),
        "trainable_parameters": prepared.plan.trainable,
        "rows_rejected_while_training": sorted(trainer.rejected),
        **({"rows_of_processes": meter.rows_of} if processes.several else {}),
    }
    write(training=facts, state="trained")
    return facts


def _last_checkpoint(folder: RunFolder, console: Console) -> Path | None:
    found = last_whole(folder.checkpoints, lambda text: console.print(f"[yellow]{text}[/]"))
    if found is None:
        console.print("no checkpoint yet: starting from the first step")
    return found


def _ignore(**facts) -> None:
    """The main process writes them."""


def build_trainer(
    config: RunConfig,
    prepared: Prepared,
    folder: RunFolder,
    adapted,
    console: Console,
    scorer: Scorer,
    engine: Engine,
    processes: Processes = ALONE,
) -> tuple[LensTrainer, Meter]:
    """The trainer of an adapted model, ready to go, and what counts its rows."""
    settings, processor, splits = config.train, prepared.base.processor, prepared.splits
    question, system = config.data.prompt, config.data.system_prompt
    card = build_card(config, prepared.base)

    def examples(rows, transform: Transform | None = None) -> ExampleDataset:
        return ExampleDataset(
            rows,
            processor.tokenizer,
            processor.geometry,
            prompt=question,
            system_prompt=system,
            strict=config.data.strict,
            transform=transform,
            seed=settings.seed,
            patchify=engine.cut,
            store=engine.forward.store if engine.forward else None,
        )

    def save_into(path: Path) -> None:
        save_adapter(adapted, path, card)
        save_processor(processor, path)

    train_examples = examples(splits.train, build_transform(config.data.augment))
    meter = Meter()
    callbacks: list[TrainerCallback] = [MetricsLog(folder.metrics, meter), ProgressBar(meter, console)]
    balance = balance_of(adapted)
    if balance:
        callbacks.append(ExpertUseLog(folder.metrics, balance, processes))
    if settings.watch.early_stopping_patience and splits.validation:
        callbacks.append(EarlyStoppingCallback(settings.watch.early_stopping_patience))
    collate = engine.collator(train_examples.dummy_example())
    dealt, collate_dealt = engine.dealt(train_examples, collate, processes)
    trainer = LensTrainer(
        adapted,
        training_arguments(
            settings,
            output=folder.checkpoints,
            rows=len(splits.train),
            has_validation=bool(splits.validation),
            bf16=next(adapted.parameters()).dtype == torch.bfloat16,
            run_name=folder.path.name,
            lower_is_better=scorer.lower_is_better,
            packed=engine.forward is not None,
            workers=engine.workers,
            processes=processes.count,
        ),
        output=folder.checkpoints,
        train_dataset=dealt,
        eval_dataset=examples(splits.validation) if splits.validation else None,
        engine=engine,
        parameter_groups=_parameter_groups(config, prepared.plan, adapted),
        balance=balance,
        data_collator=collate_dealt,
        watch_collator=collate,
        callbacks=callbacks,
        save_model_to=save_into,
        best_folder=folder.adapter,
        meter=meter,
        warn=lambda text: console.print(text, style="yellow", markup=False),
        read_sample=_sample_reader(config, processor, splits, adapted, scorer),
        keep=settings.checkpoints.keep,
        processes=processes,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, meter


def _parameter_groups(config: RunConfig, plan: AdapterPlan, adapted: torch.nn.Module) -> list[dict]:
    optimizer = config.train.optimizer
    return parameter_groups(
        adapted.named_parameters(),
        learning_rate=optimizer.learning_rate,
        weight_decay=optimizer.weight_decay,
        groups=plan.groups,
        rates=plan.rates,
        lora_plus_ratio=optimizer.lora_plus_ratio,
    )


def _sample_reader(
    config: RunConfig, processor: Processor, splits: Splits, adapted, scorer: Scorer
) -> Callable[[], Mapping[str, float]] | None:
    """Scores on the first validation rows, read with the adapter as it is at the time."""
    count = config.train.watch.sample_rows
    if not count or not splits.validation:
        return None
    samples = [splits.validation[index] for index in range(min(count, len(splits.validation)))]
    model = wrap_model(
        adapted,
        processor,
        prompt=config.data.prompt,
        system=config.data.system_prompt,
        max_new_tokens=config.evaluate.max_new_tokens,
    )

    def read() -> Mapping[str, float]:
        return scorer(list(model.generate(samples, batch_size=config.evaluate.batch_size)))

    return read


def _record(config: RunConfig, prepared: Prepared, folder: RunFolder) -> None:
    """What was decided, on what, with which rows: written before training starts."""
    write_text(folder.config, dump_config(config))
    environment = describe_environment()
    if torch.cuda.is_available():
        environment["gpu"] = torch.cuda.get_device_name()
    write_json(folder.path / "environment.json", environment)
    write_json(folder.path / "data.json", prepared.splits.statistics())
    write_json(folder.path / "coverage.json", [row.to_json() for row in prepared.plan.coverage])
    folder.update(state="training", base=config.model.path, base_fingerprint=prepared.base.fingerprint)


def _quiet() -> None:
    """transformers tells the terminal what our own progress already tells."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
