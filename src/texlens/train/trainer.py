"""transformers' Trainer with our loss over label tokens, our measurements and checkpoints that survive a kill.

Everything else (accelerate, trackers, schedules, FSDP, DeepSpeed, callbacks) is the stock Trainer's.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import BatchSamplerShard, prepare_data_loader
from torch.utils.data import DataLoader, Dataset, Subset
from transformers import Trainer
from transformers.trainer_callback import TrainerCallback
from transformers.training_args import TrainingArguments

from texlens.adapters.lora import restore
from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.core.errors import RunError
from texlens.core.files import whole_folder
from texlens.data.sample import RejectedRow
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.packed_collator import ShardedDataset
from texlens.kernels.loss.label_loss import count_labels, trainer_loss
from texlens.train.async_copy import Beside
from texlens.train.backends.engine import Engine
from texlens.train.backends.packed_step import packed_step
from texlens.train.checkpoints import state
from texlens.train.checkpoints.folder import rotate, seal
from texlens.train.distributed.context import ALONE, Processes
from texlens.train.logging.callbacks import Meter, Seen, peak_memory_gib
from texlens.train.nan_guard import NanGuard


class LensTrainer(Trainer):
    """
    Args:
        output: where checkpoints are put.
        engine: how a step is computed; `data_collator` makes the batches that it takes, and `watch_collator` those of
            validation rows.
        parameter_groups: the trainable parameters as the optimizer takes them.
        save_model_to: writes the trained part into a folder (the adapter, in PEFT's form).
        best_folder: where the best adapter so far is kept; replaced as a whole.
        meter: counts the rows and tokens of every batch.
        warn: told of each row that could not be decoded, once.
        read_sample: reads validation rows and gives their scores by name, or None.
        keep: checkpoints that stay on disk beside the best.
        balance: what MoE-LoRA's routers add to the loss, or None.
        processes: that train together; in the packed engine each is given all rows of a step by its sampler, and takes
            its own from them.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        args: TrainingArguments,
        *,
        output: Path,
        train_dataset: ExampleDataset | ShardedDataset,
        eval_dataset: ExampleDataset | None,
        engine: Engine,
        parameter_groups: list[dict[str, Any]],
        data_collator: Callable,
        watch_collator: Callable | None = None,
        callbacks: list[TrainerCallback],
        save_model_to: Callable[[Path], None],
        best_folder: Path,
        meter: Meter,
        warn: Callable[[str], None],
        read_sample: Callable[[], Mapping[str, float]] | None = None,
        keep: int = 2,
        balance: BalanceLoss | None = None,
        processes: Processes = ALONE,
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
        self._engine, self._guard, self._beside = engine, NanGuard(processes), Beside(self.args.device)
        self._processes = processes
        self._share_packs = processes.several and engine.forward is not None
        self._meter = meter
        self._watched, self._watch_collator = eval_dataset, watch_collator or data_collator
        self.rejected: dict[str, RejectedRow] = {}
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
        of a step weigh as much as one batch of all their rows. Both are taken as often as there are processes, over
        which gradients are averaged."""
        labels = count_labels(inputs["labels"])
        result: Any = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        extra = self._balance() if self._balance else None
        if extra is None:
            return result
        share = 1.0 if num_items_in_batch is None else self._processes.count * labels / num_items_in_batch
        return (result[0] + share * extra, result[1]) if return_outputs else result + share * extra

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        take = super().get_batch_samples
        batches, label_count = self._beside(lambda: take(epoch_iterator, num_batches, device))
        rejected = [row for batch in batches for row in batch.pop("rejected", ())]
        seen = [Seen.of(batch) for batch in batches]
        if self._processes.several:
            seen = [now.on_host() for now in seen]
        labels = sum(batch.get("label_count", 0) for batch in batches)
        told = self._processes.gather((seen, labels, rejected, peak_memory_gib()))
        for step in zip(*(part[0] for part in told), strict=True):
            self._meter.count(step, max(part[3] for part in told))
        self._note_rejected([row for part in told for row in part[2]])
        return batches, label_count if self._engine.forward is None else sum(part[1] for part in told)

    def _note_rejected(self, rejected: Sequence[RejectedRow]) -> None:
        """Names each row that could not be decoded the first time."""
        for row in rejected:
            if row.id not in self.rejected:
                self.rejected[row.id] = row
                self._warn(f"row left out: {row}")

    def training_step(self, model, inputs, num_items_in_batch=None):
        if self._engine.forward is not None:
            return self._packed_step(model, inputs["packs"], num_items_in_batch or 1)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise RunError(
                f"step {self.state.global_step + 1}: the loss is {float(loss)}; lower the learning rate, or "
                "look for damaged rows with `texlens data show`"
            )
        return loss

    def _packed_step(self, model, packs: list[dict], label_count: int) -> torch.Tensor:
        """Forward and backward of each pack; the mean loss of the step's labels, still on the device."""
        model.train()
        prepared: Any = self._prepare_inputs({"packs": packs})
        forward: Any = self._engine.forward
        taken = packed_step(
            forward,
            prepared["packs"],
            label_count,
            self._trained,
            self._processes,
            balance=self._balance,
            backward=self.accelerator.backward,
        )
        rows = [pack["rows"] for pack in packs]
        self._guard.check(taken.bad, taken.any_bad, rows, self.state.global_step + 1, self._bare_optimizer())
        return taken.loss

    @cached_property
    def _trained(self) -> list[torch.nn.Parameter]:
        return [one for one in self._network.parameters() if one.requires_grad]

    def train(self, *args, **kwargs):
        """
        Raises:
            RunError: a loss, the last step's included, is no number; or another process is gone.
        """
        if self._processes.several:
            self._processes.same(self._trained)
            torch.manual_seed(self.args.seed + self._processes.rank)
        outcome = super().train(*args, **kwargs)
        self._guard.read()
        return outcome

    def _wrap_model(self, model, *args, **kwargs):
        """Where gradients are added up by `packed_step`, accelerate is kept from wrapping the model to do so too."""
        if self._share_packs and not getattr(model, "_is_accelerate_prepared", False):
            self.accelerator.prepare_model(model, evaluation_mode=True)
            model._is_accelerate_prepared = True
        return super()._wrap_model(model, *args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Where packs are shared, each process is given every step, and accelerate's division of steps is undone."""
        loader = super().get_train_dataloader()
        if self._share_packs:
            dealer: Any = loader.batch_sampler
            if not isinstance(dealer, BatchSamplerShard):
                raise RunError("accelerate divides steps in a way not known here; set train.engine: plain")
            dealer.num_processes, dealer.process_index, dealer.even_batches = 1, 0, False
        return loader

    def _bare_optimizer(self) -> torch.optim.Optimizer:
        wrapped: Any = self.optimizer
        return getattr(wrapped, "optimizer", wrapped)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Validation loss in nats a label token, over all rows of all processes together, and scores of what is read
        where asked for: by the main process, while the others wait."""
        metrics = {f"{metric_key_prefix}_loss": self._validation_loss(self._watched)}
        if self._read_sample:
            scores = self._processes.from_main(self._read_sample)
            metrics |= {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validation_loss(self, dataset: Dataset | None) -> float:
        if dataset is None:
            raise RunError("no validation rows to measure; set data.splits.validation")
        was_training = self._network.training
        self._network.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        rejected: list[RejectedRow] = []
        for batch in self._watch_loader(dataset):
            rejected += batch.pop("rejected", ())
            with self.compute_loss_context_manager():
                loss, labels = self._engine.measure(self._network, batch)
            sums += torch.stack([loss.double(), labels.double()])
        total, count = self._processes.add(sums).tolist()
        self._note_rejected([row for part in self._processes.gather(rejected) for row in part])
        self._network.train(was_training)
        return total / max(count, 1)

    def _watch_loader(self, dataset: Any) -> Iterable[dict]:
        """Of N processes each takes every Nth row, none twice."""
        mine = range(self._processes.rank, len(dataset), self._processes.count)
        loader = DataLoader(
            Subset(dataset, mine) if self._processes.several else dataset,
            self.args.eval_batch_size,
            collate_fn=self._watch_collator,
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
        self._processes.wait()
        self._stage_checkpoint = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._stage_checkpoint = False
        self._processes.wait()
        if self.args.should_save:
            name = f"checkpoint-{self.state.global_step}"
            seal(self._staging / name, self._output / name)
            rotate(self._output, self._keep, self.state.best_global_step)

    def _save(self, output_dir=None, state_dict=None) -> None:
        if not self.args.should_save:
            return
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
        if checkpoint is None:
            return
        found = self._processes.gather(state.load_random(Path(checkpoint), self.args.process_index))
        if not all(found):
            self._warn(f"the checkpoint is of {sum(found)} processes: the others draw their random numbers anew")
