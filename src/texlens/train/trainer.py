"""transformers' Trainer with our loss over label tokens, our measurements and checkpoints that survive a kill.

Everything else (accelerate, trackers, schedules, FSDP, DeepSpeed, callbacks) is the stock Trainer's.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer
from transformers.trainer_callback import TrainerCallback
from transformers.training_args import TrainingArguments

from texlens.core.errors import RunError
from texlens.core.files import whole_folder
from texlens.data.dataset import ExampleDataset
from texlens.data.sample import Refusal
from texlens.train import state
from texlens.train.callbacks import Meter
from texlens.train.checkpoints import rotate, seal
from texlens.train.loss import summed_loss, trainer_loss


class LensTrainer(Trainer):
    """
    Args:
        output: where checkpoints are put.
        save_model_to: writes the trained part into a folder (the adapter, in PEFT's form).
        best_folder: where the best adapter so far is kept; replaced as a whole.
        meter: counts the rows and tokens of every batch.
        warn: told of each row that could not be decoded, once.
        read_sample: reads validation rows and gives their scores by name, or None.
        keep: checkpoints that stay on disk beside the best.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        args: TrainingArguments,
        *,
        output: Path,
        train_dataset: ExampleDataset,
        eval_dataset: ExampleDataset | None,
        data_collator: Callable,
        callbacks: list[TrainerCallback],
        save_model_to: Callable[[Path], None],
        best_folder: Path,
        meter: Meter,
        warn: Callable[[str], None],
        read_sample: Callable[[], Mapping[str, float]] | None = None,
        keep: int = 2,
    ):
        super().__init__(
            model,
            args,
            data_collator=data_collator,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            compute_loss_func=trainer_loss,
            callbacks=callbacks,
        )
        self.model_accepts_loss_kwargs = False
        self._meter = meter
        self._watched = eval_dataset
        self.refused: dict[str, Refusal] = {}
        self._warn = warn
        self._save_model_to, self._best_folder = save_model_to, best_folder
        self._read_sample, self._keep = read_sample, keep
        self._network, self._output = model, output
        self._staging = output / ".partial"
        self._stage_checkpoint = False

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        batches, label_count = super().get_batch_samples(epoch_iterator, num_batches, device)
        for batch in batches:
            self._note_refused(batch)
            self._meter.count(batch)
        return batches, label_count

    def _note_refused(self, batch: dict) -> None:
        """Takes the rows that could not be decoded out of the batch, and names each the first time."""
        for refusal in batch.pop("refused", ()):
            if refusal.id not in self.refused:
                self.refused[refusal.id] = refusal
                self._warn(f"row left out: {refusal}")

    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise RunError(
                f"step {self.state.global_step + 1}: the loss is {float(loss)}; lower the learning rate, or "
                "look for damaged rows with `texlens data show`"
            )
        return loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Validation loss in nats a label token, over all rows together, and scores of what is read where asked for."""
        metrics = {f"{metric_key_prefix}_loss": self._validation_loss(self._watched)}
        if self._read_sample:
            metrics |= {f"{metric_key_prefix}_{name}": value for name, value in self._read_sample().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validation_loss(self, dataset: Dataset | None) -> float:
        if dataset is None:
            raise RunError("no validation rows to measure; set data.splits.validation")
        was_training = self._network.training
        self._network.eval()
        loader = DataLoader(
            dataset, self.args.eval_batch_size, collate_fn=self.data_collator, generator=torch.Generator()
        )
        total, count = 0.0, 0
        for batch in self.accelerator.prepare(loader):
            self._note_refused(batch)
            with self.compute_loss_context_manager():
                loss, labels = summed_loss(self._network, batch)
            loss, labels = self.accelerator.reduce(torch.stack([loss.double(), labels.double()])).tolist()
            total, count = total + loss, count + int(labels)
        self._network.train(was_training)
        return total / max(count, 1)

    def _determine_best_metric(self, metrics, trial) -> bool:
        is_best = super()._determine_best_metric(metrics, trial)
        if is_best and self.args.should_save:
            self.save_best()
        return is_best

    def save_best(self) -> None:
        """Puts the model as it is now in the place of the best adapter, as one rename."""
        with whole_folder(self._best_folder) as folder:
            self._save_model_to(folder)

    def _get_output_dir(self, trial) -> str:
        return str(self._staging) if self._stage_checkpoint else super()._get_output_dir(trial)

    def _save_checkpoint(self, model, trial) -> None:
        if self.args.should_save:
            shutil.rmtree(self._staging, ignore_errors=True)
        self._stage_checkpoint = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._stage_checkpoint = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            name = f"checkpoint-{self.state.global_step}"
            seal(self._staging / name, self._output / name)
            rotate(self._output, self._keep, self.state.best_global_step)

    def _save(self, output_dir=None, state_dict=None) -> None:
        folder = Path(output_dir) if output_dir else self._output
        folder.mkdir(parents=True, exist_ok=True)
        self._save_model_to(folder)

    def _save_optimizer_and_scheduler(self, output_dir) -> None:
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
        elif self.args.should_save and self.optimizer is not None:
            state.save_optimizer(self.optimizer, Path(output_dir))
            state.save_scheduler(self.lr_scheduler, Path(output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint) -> None:
        if checkpoint is None or self.is_deepspeed_enabled or self.is_fsdp_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
        elif self.optimizer is not None:
            state.load_optimizer(self.optimizer, Path(checkpoint))
            state.load_scheduler(self.lr_scheduler, Path(checkpoint))

    def _save_rng_state(self, output_dir) -> None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        state.save_random(Path(output_dir), self.args.process_index)

    def _load_rng_state(self, checkpoint) -> None:
        if checkpoint is not None:
            state.load_random(Path(checkpoint), self.args.process_index)
