"""transformers' Trainer with our loss over label tokens, our measurements and checkpoints that survive a kill.

Everything else (accelerate, trackers, schedules, FSDP, DeepSpeed, callbacks) is the stock Trainer's.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer
from transformers.trainer_callback import TrainerCallback
from transformers.training_args import TrainingArguments

from texlens.adapters.lora import restore
from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.core.errors import RunError
from texlens.core.files import whole_folder
from texlens.data.dataset import ExampleDataset
from texlens.data.sample import Refusal
from texlens.models.packed.forward import PackedForward
from texlens.train import state
from texlens.train.callbacks import Meter
from texlens.train.checkpoints import rotate, seal
from texlens.train.copies import Beside
from texlens.train.engine import Engine
from texlens.train.guard import NanGuard
from texlens.train.loss import count_labels, trainer_loss


class LensTrainer(Trainer):
    """
    Args:
        output: where checkpoints are put.
        engine: how a step is computed; `data_collator` makes the batches that it takes.
        parameter_groups: the trainable parameters as the optimiser takes them.
        save_model_to: writes the trained part into a folder (the adapter, in PEFT's form).
        best_folder: where the best adapter so far is kept; replaced as a whole.
        meter: counts the rows and tokens of every batch.
        warn: told of each row that could not be decoded, once.
        read_sample: reads validation rows and gives their scores by name, or None.
        keep: checkpoints that stay on disk beside the best.
        balance: what MoE-LoRA's routers add to the loss, or None.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        args: TrainingArguments,
        *,
        output: Path,
        train_dataset: ExampleDataset,
        eval_dataset: ExampleDataset | None,
        engine: Engine,
        parameter_groups: list[dict[str, Any]],
        data_collator: Callable,
        callbacks: list[TrainerCallback],
        save_model_to: Callable[[Path], None],
        best_folder: Path,
        meter: Meter,
        warn: Callable[[str], None],
        read_sample: Callable[[], Mapping[str, float]] | None = None,
        keep: int = 2,
        balance: BalanceLoss | None = None,
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
        self._parameter_groups, self._balance = parameter_groups, balance
        self._engine, self._guard, self._beside = engine, NanGuard(), Beside(self.args.device)
        self._meter = meter
        self._watched = eval_dataset
        self.refused: dict[str, Refusal] = {}
        self._warn = warn
        self._save_model_to, self._best_folder = save_model_to, best_folder
        self._read_sample, self._keep = read_sample, keep
        self._network, self._output = model, output
        self._staging = output / ".partial"
        self._stage_checkpoint = False

    def create_optimizer(self, model=None):
        if self.optimizer is None:
            network: Any = model or self._network
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, network)
            self.optimizer = kind(self._parameter_groups, **options)
        return self.optimizer

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The loss over labels; the routers' is weighed by the batch's share of the step's labels, so that the batches
        of a step weigh as much as one batch of all their rows."""
        labels = count_labels(inputs["labels"])
        result: Any = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        extra = self._balance() if self._balance else None
        if extra is None:
            return result
        share = 1.0 if num_items_in_batch is None else labels / num_items_in_batch
        return (result[0] + share * extra, result[1]) if return_outputs else result + share * extra

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        take = super().get_batch_samples
        batches, label_count = self._beside(lambda: take(epoch_iterator, num_batches, device))
        for batch in batches:
            self._note_refused(batch)
            self._meter.count(batch)
        if self._engine.forward is not None:
            label_count = sum(batch["label_count"] for batch in batches)
        return batches, label_count

    def _note_refused(self, batch: dict) -> None:
        """Takes the rows that could not be decoded out of the batch, and names each the first time."""
        for refusal in batch.pop("refused", ()):
            if refusal.id not in self.refused:
                self.refused[refusal.id] = refusal
                self._warn(f"row left out: {refusal}")

    def training_step(self, model, inputs, num_items_in_batch=None):
        if self._engine.forward is not None:
            return self._packed_step(self._engine.forward, model, inputs["packs"], num_items_in_batch or 1)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise RunError(
                f"step {self.state.global_step + 1}: the loss is {float(loss)}; lower the learning rate, or "
                "look for damaged rows with `texlens data show`"
            )
        return loss

    def _packed_step(self, forward: PackedForward, model, packs: list[dict], label_count: int) -> torch.Tensor:
        """Forward and backward of each pack; the mean loss of the step's labels, still on the device."""
        model.train()
        prepared: Any = self._prepare_inputs({"packs": packs})
        losses = []
        for number, pack in enumerate(prepared["packs"]):
            with self._balance.pack(pack) if self._balance else nullcontext():
                loss = forward.loss(pack, same_adapters=number > 0) / label_count
            extra = self._balance() if self._balance else None
            whole = loss if extra is None else loss + extra * (len(pack["labels"]) / label_count)
            self.accelerator.backward(whole)
            losses.append(whole.detach())
        rows = [pack["rows"] for pack in packs]
        self._guard.check(losses, rows, self.state.global_step + 1, self._bare_optimizer())
        return torch.stack(losses).sum()

    def train(self, *args, **kwargs):
        """
        Raises:
            RunError: a loss, the last step's included, is no number.
        """
        outcome = super().train(*args, **kwargs)
        self._guard.read()
        return outcome

    def _bare_optimizer(self) -> torch.optim.Optimizer:
        wrapped: Any = self.optimizer
        return getattr(wrapped, "optimizer", wrapped)

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
            dataset,
            self.args.eval_batch_size,
            collate_fn=self.data_collator,
            generator=torch.Generator(),
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in self.accelerator.prepare(loader):
            self._note_refused(batch)
            with self.compute_loss_context_manager():
                loss, labels = self._engine.measure(self._network, batch)
            sums += torch.stack([loss.double(), labels.double()])
        total, count = self.accelerator.reduce(sums).tolist()
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

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        restore(self._network, Path(resume_from_checkpoint))

    def _save_checkpoint(self, model, trial) -> None:
        self._guard.read()
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
