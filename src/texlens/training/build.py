"""The trainer of an adapted model, from the run's settings."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback

from texlens.adapters.build import build_metadata
from texlens.adapters.lora import save_adapter
from texlens.adapters.moe_lora.model import balance_of
from texlens.augment import build_transform
from texlens.config.run import RunConfig
from texlens.core.run_folder import RunFolder
from texlens.data.load import Rows
from texlens.data.sample import Sample
from texlens.inference.open import wrap_model
from texlens.inputs.build import read_split
from texlens.inputs.dataset import ExampleDataset, Transform
from texlens.metrics.prediction import Prediction
from texlens.models.processor import save_processor
from texlens.rewards.own import OwnReward
from texlens.training.arguments import RunFacts, training_arguments
from texlens.training.backends.protocol import StepBackend
from texlens.training.base_models import FRESH_MODELS, BaseModels
from texlens.training.checkpoints.origin import Origin, origin_of
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.logging.expert_utilization import ExpertUtilizationLog
from texlens.training.logging.loss_plot import loss_image
from texlens.training.logging.metrics_log import MetricsLog
from texlens.training.logging.progress import ProgressBar
from texlens.training.logging.progress_record import ProgressRecord
from texlens.training.logging.run_log import RunLog
from texlens.training.logging.sample_readings import SampleReadings
from texlens.training.logging.throughput import ThroughputMeter
from texlens.training.objectives.backend import ObjectiveBackend
from texlens.training.objectives.policy import PolicyObjective
from texlens.training.objectives.rollout_log import RolloutLog
from texlens.training.optimizer_groups import GroupLearningRates
from texlens.training.options import CheckpointOptions, Reporting, StepOptions, ValidationObserver, ValidationOptions
from texlens.training.prepare import Prepared
from texlens.training.stop import StopOnRequest, StopRequest, TimeLimit
from texlens.training.trackers.protocol import CaptionedImage, TrackedRun
from texlens.training.trackers.registry import TRACKERS, TrackerLog
from texlens.training.trainer import TexlensTrainer
from texlens.training.validation import Scorer, build_scorer


@dataclass(frozen=True)
class TrainContext:
    """One run: settings, checked inputs, folder, messages, and the processes that train it together.

    `models` gives the base model; `validation_observer` may end the training after a validation; `own_rewards` are
    those of this call's command line.
    """

    config: RunConfig
    prepared: Prepared
    folder: RunFolder
    console: Console
    distributed: DistributedContext = SINGLE_PROCESS
    models: BaseModels = FRESH_MODELS
    validation_observer: ValidationObserver | None = None
    own_rewards: tuple[OwnReward, ...] = ()

    @cached_property
    def origin(self) -> Origin:
        """What checkpoints of this run record of data, base and settings."""
        checks = self.prepared.splits.checks
        rows = {role: check.usable.fingerprint for role, check in checks.items()}
        return origin_of(self.config, self.prepared.base.fingerprint, rows)

    @cached_property
    def log(self) -> RunLog:
        return RunLog(self.folder.log)

    def record(self, message: object) -> None:
        """A line in the run folder's log; only the main process writes there."""
        if self.distributed.is_main:
            self.log.write(message)

    def report(self, message: str) -> None:
        self.console.print(message, markup=False)
        self.record(message)

    def warn(self, message: str) -> None:
        self.console.print(message, style="yellow", markup=False)
        self.record(message)


def build_trainer(
    run: TrainContext,
    adapted: Any,
    backend: StepBackend,
    workers: int = 0,
    *,
    stop: StopRequest | None = None,
    keep_new_options: bool = False,
) -> tuple[TexlensTrainer, ThroughputMeter]:
    """The trainer, ready to train, and its meter.

    Args:
        stop: a signal that ends the training early.
        keep_new_options: see `CheckpointOptions`.
    """
    stop = stop or StopRequest()
    config, splits = run.config, run.prepared.splits
    scorer = build_scorer(config.train.validation)
    readings = _validation_readings(run, adapted, scorer, backend)
    test_rows = None if backend.in_lockstep else _test_rows(run, adapted, scorer)  # the main process can't read alone
    balance = balance_of(adapted)
    throughput = ThroughputMeter()
    train_examples = _examples(run, backend, splits.train, build_transform(config.data.augment))
    dummy_example = train_examples.dummy_example()
    train_rows, collate_shard = backend.shard(train_examples, backend.collator(dummy_example), run.distributed)
    validation_examples = _examples(run, backend, splits.validation) if splits.validation else None
    validation_rows, collate_validation = backend.validation(validation_examples, dummy_example)
    trainer = TexlensTrainer(
        adapted,
        training_arguments(config.train, _run_facts(run, adapted, backend, scorer, workers)),
        train_dataset=train_rows,
        data_collator=collate_shard,
        step=StepOptions(backend, _learning_rates(run), balance, run.distributed),
        checkpoints=CheckpointOptions(
            run.folder.checkpoints,
            run.folder.adapter,
            _saver(run, adapted),
            run.origin,
            stop,
            config.train.checkpoints.keep,
            keep_new_options,
        ),
        validation=ValidationOptions(
            validation_rows,
            collate_validation,
            readings,
            run.validation_observer,
        ),
        reporting=Reporting(throughput, run.warn),
        callbacks=[
            *_callbacks(run, throughput, balance, readings, test_rows, _rollout_log(backend)),
            StopOnRequest(stop, run.distributed),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, throughput


def _examples(run: TrainContext, backend: StepBackend, rows, transform: Transform | None = None) -> ExampleDataset:
    config, processor = run.config, run.prepared.base.processor
    return ExampleDataset(
        rows,
        processor.tokenizer,
        processor.geometry,
        prompt=config.data.prompt,
        system_prompt=config.data.system_prompt,
        strict=config.data.strict,
        transform=transform,
        seed=config.train.seed,
        patchify=backend.patchify,
        store=backend.feature_store,
    )


def _run_facts(run: TrainContext, adapted: Any, backend: StepBackend, scorer: Scorer, workers: int) -> RunFacts:
    base_dtype = next(adapted.parameters()).dtype
    return RunFacts(
        folder=run.folder.checkpoints,
        name=run.folder.path.name,
        rows=len(run.prepared.splits.train),
        has_validation=bool(run.prepared.splits.validation),
        bf16=base_dtype == torch.bfloat16,
        fp16=base_dtype == torch.float16,
        lower_is_better=scorer.lower_is_better,
        whole_steps=backend.whole_steps,
        workers=workers,
        world_size=run.distributed.world_size,
    )


def _learning_rates(run: TrainContext) -> GroupLearningRates:
    plan = run.prepared.plan
    return GroupLearningRates(plan.groups, plan.learning_rates, run.config.train.optimizer.lora_plus_ratio)


def _saver(run: TrainContext, adapted: Any) -> Callable[[Path], None]:
    metadata = build_metadata(run.config, run.prepared.base)

    def save(folder: Path) -> None:
        save_adapter(adapted, folder, metadata)
        save_processor(run.prepared.base.processor, folder)

    return save


def _callbacks(
    run: TrainContext,
    throughput: ThroughputMeter,
    balance: Any,
    readings: "ReadRows | None",
    test_rows: "ReadRows | None",
    rollouts: RolloutLog | None,
) -> list[TrainerCallback]:
    patience = run.config.train.validation.early_stopping_patience
    callbacks: list[TrainerCallback] = [
        MetricsLog(run.folder.metrics, throughput),
        ProgressRecord(run.folder),
        ProgressBar(throughput, run.console, run.record),
    ]
    if readings and run.config.train.logging.pictures:
        callbacks.append(SampleReadings(run.folder.samples, readings, run.config.train.logging.pictures))
    if balance:
        callbacks.append(ExpertUtilizationLog(run.folder.metrics, balance, run.distributed))
    if run.config.train.logging.trackers:
        callbacks.append(_tracker_log(run, readings, test_rows, rollouts))
    if rollouts is not None:
        callbacks.append(rollouts)
    if run.config.train.minutes:
        callbacks.append(TimeLimit(run.config.train.minutes, run.distributed))
    if patience and run.prepared.splits.validation:
        callbacks.append(EarlyStoppingCallback(patience))
    return callbacks


def _rollout_log(backend: StepBackend) -> RolloutLog | None:
    objective = backend.objective if isinstance(backend, ObjectiveBackend) else None
    return objective.log if isinstance(objective, PolicyObjective) else None


def _tracker_log(
    run: TrainContext, readings: "ReadRows | None", test_rows: "ReadRows | None", rollouts: RolloutLog | None
) -> TrackerLog:
    settings = run.config.train.logging
    tracked = TrackedRun(
        run.folder.path,
        settings.project,
        settings.experiment or run.folder.path.name,
        settings.tags,
        run.config.model_dump(mode="json"),
    )
    trackers = [TRACKERS[name]() for name in settings.trackers]
    return TrackerLog(
        trackers,
        tracked,
        (lambda: readings.pictures(settings.pictures)) if readings else list,
        (lambda: test_rows.pictures(settings.pictures)) if test_rows else list,
        lambda: loss_image(run.folder.history()),
        run.report,
        rollouts.pictures if rollouts is not None else list,
    )


def _test_rows(run: TrainContext, adapted: Any, scorer: Scorer) -> "ReadRows":
    """The first test rows, which trackers show after training where no validation has shown others."""
    data, count = run.config.data, run.config.train.logging.pictures
    return ReadRows(run, adapted, scorer, lambda: list(read_split(data, "test")[:count]) if data.splits.test else [])


def _validation_readings(run: TrainContext, adapted: Any, scorer: Scorer, backend: StepBackend) -> "ReadRows | None":
    """The validation rows that are read at each validation: `generation_rows`, which are scored too, else as many as
    the trackers show; None if none are."""
    settings, rows = run.config.train, run.prepared.splits.validation
    scored = settings.validation.generation_rows
    shown = settings.logging.pictures if settings.logging.trackers else 0
    if not rows or not (scored or shown):
        return None
    first_rows = partial(_first_rows, rows, scored or shown)
    return ReadRows(run, adapted, scorer if scored else Scorer(()), first_rows, backend.reading)


def _first_rows(rows: Rows, count: int) -> list[Sample]:
    return list(rows[:count])


class ReadRows:
    """Reads rows with the present weights; a call returns their scores by name.

    Args:
        rows: called once, when they are first read.
        reading: around all reading with the model, as the backend needs it.
    """

    def __init__(
        self,
        run: TrainContext,
        adapted: Any,
        scorer: Scorer,
        rows: Callable[[], list[Sample]],
        reading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ):
        config, self._reading = run.config, reading
        self.predictions: list[Prediction] = []
        self._rows, self._scorer, self._batch_size = rows, scorer, config.evaluate.batch_size
        self._model = wrap_model(
            adapted,
            run.prepared.base.processor,
            prompt=config.data.prompt,
            system=config.data.system_prompt,
            max_new_tokens=config.evaluate.max_new_tokens,
        )

    @cached_property
    def samples(self) -> list[Sample]:
        return self._rows()

    def __call__(self) -> Mapping[str, float]:
        self.predictions = self._read(self.samples)
        return self._scorer(self.predictions)

    def _read(self, samples: list[Sample]) -> list[Prediction]:
        with self._reading():
            return list(self._model.generate(samples, batch_size=self._batch_size))

    def pictures(self, count: int) -> list[CaptionedImage]:
        """The images of the first rows, with reference and latest prediction; rows that were not read are read now."""
        if not self.predictions:
            self.predictions = self._read(self.samples[:count])
        texts = {prediction.id: prediction.text for prediction in self.predictions if not prediction.error}
        return [
            CaptionedImage(sample.image.load(), f"reference: {sample.text}\nprediction: {texts[sample.id]}")
            for sample in self.samples[:count]
            if sample.id in texts
        ]
