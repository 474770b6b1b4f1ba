"""transformers' Trainer with our loss over label tokens, measurements, and checkpoints that survive a SIGKILL.

Accelerate, trackers, schedules, DeepSpeed and callbacks are the stock Trainer's. Several of its private methods
are overridden; tests/unit/training/test_trainer_contract.py names them and fails when transformers drops one.
"""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import BatchSamplerShard, prepare_data_loader
from torch.utils.data import DataLoader, Dataset, Subset
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerCallback, TrainerState
from transformers.training_args import TrainingArguments

from texlens.adapters.lora import restore
from texlens.core.errors import RunError
from texlens.core.files import whole_folder
from texlens.data.sample import RejectedRow
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.packed_collator import ShardedDataset
from texlens.kernels.loss.label_loss import count_labels, trainer_loss
from texlens.training.async_copy import CopyStream
from texlens.training.backends.protocol import Step, mean_of
from texlens.training.backends.sharded_by_accelerate import whole_weights
from texlens.training.checkpoints import state
from texlens.training.checkpoints.folder import finalize, prune
from texlens.training.logging.throughput import BatchStats, peak_memory_gib
from texlens.training.nan_guard import MAX_ROWS_SHOWN, NanGuard
from texlens.training.optimizer_groups import parameter_groups
from texlens.training.options import CheckpointOptions, Reporting, StepOptions, ValidationOptions
from texlens.training.workers import end_workers, short_wait_for_workers


class TexlensTrainer(Trainer):
    """
    Args:
        data_collator: makes the batches that the backend takes.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        args: TrainingArguments,
        *,
        train_dataset: ExampleDataset | ShardedDataset,
        data_collator: Callable,
        step: StepOptions,
        checkpoints: CheckpointOptions,
        validation: ValidationOptions,
        reporting: Reporting,
        callbacks: list[TrainerCallback],
    ):
        super().__init__(
            model,
            args,
            data_collator=data_collator,
            train_dataset=train_dataset,
            eval_dataset=validation.dataset,
            compute_loss_func=trainer_loss,
            callbacks=callbacks,
        )
        self.model_accepts_loss_kwargs = False
        self.rejected: dict[str, RejectedRow] = {}
        self._network = model
        self._step, self._checkpoints = step, checkpoints
        self._validation, self._reporting = validation, reporting
        self._context = step.context
        self._guard, self._copy = NanGuard(step.context), CopyStream(self.args.device)
        self._backend_reduces = step.context.is_distributed and step.backend.whole_steps
        self._observer = validation.observer
        self._validation_batches: list[tuple[float, int]] = []
        self._staging = checkpoints.folder / ".partial"
        self._saves_to_staging = False

    # Optimizer and steps

    def create_optimizer(self, model=None):
        """Learning rate and weight decay come from TrainingArguments, what groups have of their own on top."""
        if self.optimizer is None:
            network: Any = model or self._network
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, network)
            if self.args.optim == "adamw_bnb_8bit" and not self.is_deepspeed_enabled:
                from texlens.training.joined_adamw import JoinedAdamW  # bitsandbytes is optional

                optimizer_class = JoinedAdamW
            groups = parameter_groups(
                network.named_parameters(),
                learning_rate=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                overrides=self._step.learning_rates,
            )
            self.optimizer = optimizer_class(groups, **options)
        return self.optimizer

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The loss over labels plus MoE-LoRA's balance loss, weighted by the batch's share of the step's labels.

        Thus the batches of a step weigh as much as one batch of all their rows. Both are multiplied by the number of
        processes, over which gradients are averaged.
        """
        labels = count_labels(inputs["labels"])
        result: Any = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        balance_loss = self._step.balance() if self._step.balance else None
        if balance_loss is None:
            return result
        share = 1.0 if num_items_in_batch is None else self._context.world_size * labels / num_items_in_batch
        if return_outputs:
            return result[0] + share * balance_loss, result[1]
        return result + share * balance_loss

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        stock = super().get_batch_samples
        batches, total_labels = self._copy(lambda: stock(epoch_iterator, num_batches, device))
        rejected = [row for batch in batches for row in batch.pop("rejected", ())]
        stats = [BatchStats.of(batch) for batch in batches]
        if self._context.is_distributed:
            stats = [batch.on_host() for batch in stats]
        labels = sum(batch.get("label_count", 0) for batch in batches)
        processes = self._context.all_gather((stats, labels, rejected, peak_memory_gib()))
        memory_gib = max(process[3] for process in processes)
        for batch_stats in zip(*(process[0] for process in processes), strict=True):
            self._reporting.throughput.count(batch_stats, memory_gib)
        self._report_rejected([row for process in processes for row in process[2]])
        label_count = self._step.backend.label_count(total_labels, [process[1] for process in processes])
        self._check_labels(label_count, batches)
        return batches, label_count

    def _check_labels(self, label_count, batches: list[dict]) -> None:
        """
        Raises:
            RunError: the step has no label, so that its loss would be 0 / 0.
        """
        if batches and label_count is not None and int(label_count) == 0:
            reasons = "; ".join(str(row) for row in list(self.rejected.values())[-MAX_ROWS_SHOWN:])
            raise RunError(
                f"step {self.state.global_step + 1}: no label to train on, every row of the step was left out "
                f"({reasons or 'no answer tokens'}); see `texlens data validate`, or raise train.batch_size"
            )

    def _report_rejected(self, rejected: Sequence[RejectedRow]) -> None:
        """Names each row that can't be decoded the first time that it is met."""
        for row in rejected:
            if row.id not in self.rejected:
                self.rejected[row.id] = row
                self._reporting.warn(f"row left out: {row}")

    def training_step(self, model, inputs, num_items_in_batch=None):
        stock = super().training_step
        step = Step(
            number=self.state.global_step + 1,
            label_count=num_items_in_batch or 1,
            parameters=self._trainable,
            context=self._context,
            guard=self._guard,
            balance=self._step.balance,
            optimizer=self._torch_optimizer(),
            prepare=self._prepare_inputs,
            backward=self.accelerator.backward,
            stock=lambda: stock(model, inputs, num_items_in_batch),
        )
        return self._step.backend.train_step(model, inputs, step)

    def _torch_optimizer(self) -> torch.optim.Optimizer:
        """Without accelerate's wrapper."""
        optimizer: Any = self.optimizer
        return getattr(optimizer, "optimizer", optimizer)

    @cached_property
    def _trainable(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self._network.parameters() if parameter.requires_grad]

    def train(self, *args, **kwargs):
        """
        Raises:
            RunError: a loss, the last step's included, is NaN or Inf; or another process is gone.
        """
        if self._context.is_distributed:
            self._context.broadcast_parameters(self._trainable)
            torch.manual_seed(self.args.seed + self._context.rank)
        with short_wait_for_workers():
            try:
                outcome = super().train(*args, **kwargs)
            finally:
                if self.callback_handler.train_dataloader is not None:
                    end_workers(self.callback_handler.train_dataloader)
        self._guard.flush()
        return outcome

    def restore(self, checkpoint: Path) -> float:
        """Loads the weights and state of a training that had ended; returns its mean loss, or NaN if it is unknown."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        losses = [row["loss"] for row in self.state.log_history if "loss" in row]
        return sum(losses) / len(losses) if losses else float("nan")

    def _wrap_model(self, model, *args, **kwargs):
        """Where the backend sums gradients itself, accelerate must not wrap the model in DistributedDataParallel."""
        if self._backend_reduces and not getattr(model, "_is_accelerate_prepared", False):
            self.accelerator.prepare_model(model, evaluation_mode=True)
            model._is_accelerate_prepared = True
        return super()._wrap_model(model, *args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Where the backend divides each step among processes, accelerate's division of the steps is undone."""
        loader = super().get_train_dataloader()
        if self._backend_reduces:
            sampler: Any = loader.batch_sampler
            if not isinstance(sampler, BatchSamplerShard):
                raise RunError(
                    "this version of accelerate shards batches in a new way; set train.compute.backend: plain"
                )
            sampler.num_processes, sampler.process_index, sampler.even_batches = 1, 0, False
        return loader

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With what the objective has measured since the last training loss was logged."""
        if "loss" in logs:
            logs = {**logs, **self._mean_measurements(validation=False)}
        super().log(logs, start_time)

    def _mean_measurements(self, *, validation: bool) -> dict[str, float]:
        """Means over what all processes measured."""
        taken = self._context.all_gather(dict(self._step.backend.measurements(validation=validation)))
        names = dict.fromkeys(name for process in taken for name in process)
        return {name: round(mean_of([process[name] for process in taken if name in process]), 6) for name in names}

    # Validation

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Validation loss in nats per label token, over all rows of all processes together; for the run's own
        validation rows also the scores of those that are read, by the main process while the others wait.

        Args:
            eval_dataset: an `ExampleDataset` other than the validation rows, or several by name.

        Raises:
            RunError: no rows to validate on.
        """
        if isinstance(eval_dataset, dict):
            metrics: dict[str, float] = {}
            for name, dataset in eval_dataset.items():
                metrics |= self.evaluate(dataset, ignore_keys, f"{metric_key_prefix}_{name}")
            return metrics
        dataset = self._validation.dataset if eval_dataset is None else eval_dataset
        metrics = {f"{metric_key_prefix}_loss": self._validation_loss(dataset)}
        measured = self._mean_measurements(validation=True)
        metrics |= {f"{metric_key_prefix}_{name}": value for name, value in measured.items()}
        readings = self._validation.readings
        if readings and dataset is self._validation.dataset:
            scores = self._generation_scores(readings)
            metrics |= {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        if self._observer and dataset is self._validation.dataset:
            predictions = readings.predictions if readings else ()
            ends = self._observer(self.state.global_step, self.state.max_steps, self._validation_batches, predictions)
            self.control.should_training_stop = self.control.should_training_stop or ends
        return metrics

    def _generation_scores(self, read: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """By the main process; in lockstep all read the same rows."""
        if not self._step.backend.in_lockstep:
            return self._context.broadcast(read)
        scores = read()
        return self._context.broadcast(lambda: scores)

    def _validation_loss(self, dataset: Dataset | None) -> float:
        if dataset is None:
            raise RunError("no validation rows to measure; set data.splits.validation")
        was_training = self._network.training
        self._network.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        rejected: list[RejectedRow] = []
        batches: list[torch.Tensor] = []
        for batch, is_counted in self._batches_in_step(dataset):
            of_batch = batch.pop("rejected", ())
            with self.compute_loss_context_manager():
                loss, labels = self._step.backend.eval_loss(self._network, batch, self._context)
            if not is_counted:
                continue
            rejected += of_batch
            sums += (batch_sums := torch.stack([loss.double(), labels.double()]))
            batches.append(batch_sums)
        total, count = self._context.all_reduce(sums).tolist()
        losses = torch.stack(batches).tolist() if batches else []  # none of a process without rows
        self._validation_batches = [(loss, int(labels)) for loss, labels in losses]
        self._report_rejected([row for process in self._context.all_gather(rejected) for row in process])
        self._network.train(was_training)
        if not count:
            raise RunError(
                "no label in the validation rows: all were left out; look at them with `texlens data validate`"
            )
        return total / count

    def _batches_in_step(self, dataset: Any) -> Iterator[tuple[dict, bool]]:
        """This process's, of N processes every Nth row, and whether they count. Where weights are divided, as many as
        the first process has, which has most rows: at the end empty ones, or the first row again."""
        rows = range(self._context.rank, len(dataset), self._context.world_size)
        batches = self._validation_loader(Subset(dataset, rows) if self._context.is_distributed else dataset)
        left = math.ceil(math.ceil(len(dataset) / self._context.world_size) / self._validation_batch_size)
        for batch in batches:
            yield batch, True
            left -= 1
        if self._step.backend.in_lockstep:
            yield from (({"packs": [], "label_count": 0}, True) for _ in range(left))
        elif self._weights_are_divided:
            for _ in range(left):
                yield next(iter(self._validation_loader(Subset(dataset, [0])))), False

    @property
    def _weights_are_divided(self) -> bool:
        """By DeepSpeed's ZeRO-3, in the plain backend: a forward pass gathers weights from all processes."""
        return any(hasattr(parameter, "ds_id") for parameter in self._network.parameters())

    @property
    def _validation_batch_size(self) -> int:
        return self._observer.batch_size if self._observer else self.args.eval_batch_size

    def _validation_loader(self, dataset: Any) -> Iterable[dict]:
        loader = DataLoader(
            dataset,
            self._validation_batch_size,
            collate_fn=self._validation.collator,
            generator=torch.Generator(),
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return prepare_data_loader(
            loader,
            self.args.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            non_blocking=self.args.dataloader_pin_memory,
        )

    # Checkpoints

    def _determine_best_metric(self, metrics, trial) -> bool:
        is_best = super()._determine_best_metric(metrics, trial)
        if is_best:
            self.save_best()
        return is_best

    def save_best(self) -> None:
        """Replaces the best adapter by the present weights, in one rename; all processes call it."""
        with whole_weights(self._network):
            if self.args.should_save:
                with whole_folder(self._checkpoints.best_folder) as folder:
                    self._checkpoints.save_model(folder)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """All processes call it."""
        if not self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)
            return
        with whole_weights(self._network):
            self._save(output_dir)

    def _get_output_dir(self, trial) -> str:
        return str(self._staging) if self._saves_to_staging else super()._get_output_dir(trial)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        restore(self._network, Path(resume_from_checkpoint))

    def _save_checkpoint(self, model, trial) -> None:
        self._guard.flush()
        if self.args.should_save:
            shutil.rmtree(self._staging, ignore_errors=True)
        self._context.barrier()
        self._saves_to_staging = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._saves_to_staging = False
        self._context.barrier()
        if self.args.should_save:
            name = f"checkpoint-{self.state.global_step}"
            self._checkpoints.origin.write(self._staging / name, finished=self._is_finished())
            finalize(self._staging / name, self._checkpoints.folder / name)
            prune(self._checkpoints.folder, self._checkpoints.keep, self.state.best_global_step)

    def _is_finished(self) -> bool:
        """Whether training ends here by its own rules: the last step, early stopping, or the time limit."""
        is_last = self.state.global_step >= self.state.max_steps
        return is_last or (self.control.should_training_stop and self._checkpoints.stop.signal_number is None)

    def _save(self, output_dir=None, state_dict=None) -> None:
        if not self.args.should_save:
            return
        folder = Path(output_dir) if output_dir else self._checkpoints.folder
        folder.mkdir(parents=True, exist_ok=True)
        self._checkpoints.save_model(folder)

    def _save_optimizer_and_scheduler(self, output_dir) -> None:
        if self.is_deepspeed_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
        elif self.args.should_save and self.optimizer is not None:
            state.save_optimizer(self.optimizer, Path(output_dir))
            state.save_scheduler(self.lr_scheduler, Path(output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint) -> None:
        """
        Raises:
            RunError: DeepSpeed would go on with the options of its checkpoint where others are asked for.
        """
        if checkpoint is not None and self.is_deepspeed_enabled and self._checkpoints.keep_new_options:
            raise RunError(
                "a run can't go on with other settings under DeepSpeed, whose checkpoint has its learning rates and "
                "schedule; resume it without changes, or start a run with adapter.from"
            )
        if checkpoint is None or self.is_deepspeed_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
        elif self.optimizer is not None and self._checkpoints.keep_new_options:
            state.load_moments(self.optimizer, Path(checkpoint))
            state.load_position(self.lr_scheduler, Path(checkpoint))
        elif self.optimizer is not None:
            state.load_optimizer(self.optimizer, Path(checkpoint))
            state.load_scheduler(self.lr_scheduler, Path(checkpoint))

    def _save_rng_state(self, output_dir) -> None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        state.save_random(Path(output_dir), self.args.process_index)

    def _load_rng_state(self, checkpoint) -> None:
        if checkpoint is None:
            return
        restored = self._context.all_gather(state.load_random(Path(checkpoint), self.args.process_index))
        if not all(restored):
            self._reporting.warn(f"the checkpoint is of {sum(restored)} processes: the others draw new random numbers")
