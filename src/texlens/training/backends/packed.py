"""The packed backend: the rows of a step end to end in packs, without padding, on fused layers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from texlens.data.geometry import ImageGeometry
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example, Patchify
from texlens.inputs.feature_cache import FeatureStore
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import Pack, PackSpec
from texlens.inputs.packed_collator import PackCollator, ShardedCollator, ShardedDataset
from texlens.models.packed.forward import PackedForward
from texlens.training.backends.pack_graphs import PackGraphs
from texlens.training.backends.packed_step import StepLoss, packed_step
from texlens.training.backends.protocol import Mean, Step
from texlens.training.backends.smaller_packs import Result, SmallerPacks
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext


@dataclass(frozen=True)
class PackedBackend:
    """See `StepBackend`. `max_tokens` is the budget of a pack, the same in all processes; `retry` runs a step that did
    not fit into memory again in smaller packs.

    `idle` is the pack that a process runs while others, among whom weights are divided, have more packs than it; None
    where weights are not divided. `stock_passes` is the context in which a divided model reads.
    """

    forward: PackedForward
    spec: PackSpec
    max_tokens: int
    rows_per_batch: int
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    graphs: PackGraphs | None = None
    retry: SmallerPacks | None = field(default_factory=SmallerPacks)
    idle: dict[str, Any] | None = None
    stock_passes: Callable[[], AbstractContextManager[None]] = nullcontext
    name: str = "packed"
    batches_per_step: int = 1
    whole_steps: bool = True
    patchify: Patchify = image_to_raw_patches

    @property
    def in_lockstep(self) -> bool:
        return self.idle is not None

    @property
    def feature_store(self) -> FeatureStore | None:
        return self.forward.store

    def with_feature_store(self, store: FeatureStore, note: str) -> "PackedBackend":
        return replace(self, forward=replace(self.forward, store=store), notes=(*self.notes, note))

    def reading(self) -> AbstractContextManager[None]:
        return self.stock_passes() if self.in_lockstep else nullcontext()

    def bytes_per_pixel_value(self, geometry: ImageGeometry) -> int:
        return 1

    def collator(self, dummy_example: Example) -> Callable[[list], dict]:
        return PackCollator(self.spec, self.max_tokens, dummy_example)

    def shard(
        self, examples: ExampleDataset, collate: Any, context: DistributedContext
    ) -> tuple[ExampleDataset | ShardedDataset, Callable[[list], dict]]:
        """Each process is given every step by the sampler and takes its own packs of it."""
        if not context.is_distributed:
            return examples, collate
        rows = ShardedDataset(examples, self.max_tokens, context.rank, context.world_size)
        return rows, ShardedCollator(collate.spec)

    def validation(
        self, examples: ExampleDataset | None, dummy_example: Example
    ) -> tuple[ExampleDataset | None, Callable[[list], dict]]:
        return examples, self.collator(dummy_example)

    def measurements(self, *, validation: bool = False) -> Mapping[str, Mean]:
        return {}

    def label_count(self, total: Any, per_process: Sequence[int]) -> int:
        return sum(per_process)

    def train_step(self, model: nn.Module, batch: dict, step: Step) -> Tensor:
        model.train()
        packs = step.prepare({"packs": batch["packs"]})["packs"]
        return self.run_packs(packs, step, partial(self._run, step))

    def run_packs(self, packs: Sequence[Pack], step: Step, run: Callable[[Sequence[Pack]], StepLoss]) -> Tensor:
        """The loss of a step that `run` computes, once more on smaller packs if these don't fit into memory."""
        packs, outcome = self.retried(packs, run)
        rows = [pack["rows"] for pack in packs]
        step.guard.check(outcome.is_bad, outcome.any_bad, rows, step.number, step.optimizer)
        return outcome.loss

    def retried(self, packs: Sequence[Pack], run: Callable[[Sequence[Pack]], Result]) -> tuple[Sequence[Pack], Result]:
        """The packs as `run` computed them, smaller ones where these did not fit into memory, and its result."""
        return self.retry(packs, run) if self.retry is not None else (packs, run(packs))

    def _run(self, step: Step, packs: Sequence[dict]) -> StepLoss:
        return packed_step(
            self.forward,
            packs,
            step.label_count,
            step.parameters,
            step.context,
            balance=step.balance,
            backward=step.backward,
            graphs=self.graphs,
            idle=self._idle_packs(packs, step.context),
        )

    def _idle_packs(self, packs: Sequence[dict], context: DistributedContext) -> list[dict]:
        """As many as this process has fewer packs than another one."""
        if self.idle is None:
            return []
        return [self.idle] * (max(context.all_gather(len(packs))) - len(packs))

    def _losses(self, packs: Sequence[Pack]) -> list[Tensor]:
        return [self.forward.loss(pack) for pack in packs]

    def eval_loss(
        self, model: nn.Module, batch: dict, context: DistributedContext = SINGLE_PROCESS
    ) -> tuple[Tensor, Tensor]:
        idle = self._idle_packs(batch["packs"], context)
        with torch.no_grad():
            _, losses = self.retried(batch["packs"], self._losses)
            nothing = [self.forward.loss(pack) * 0.0 for pack in idle]
        total = torch.stack([*losses, *nothing]).sum()
        return total, torch.full((), batch["label_count"], device=total.device)
