"""How an optimizer step is computed: the interface of the packed and the plain backend.

Both take the same rows in each step and give the same losses and gradients up to rounding. To add a backend, implement
`StepBackend` in a file of this folder and return it from `choose.build_backend`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.data.geometry import ImageGeometry
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example, Patchify
from texlens.inputs.feature_cache import FeatureStore
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.nan_guard import NanGuard


@dataclass(frozen=True)
class Step:
    """What a backend needs of the trainer for one batch.

    Args:
        number: of the optimizer step, from 1.
        label_count: labels of the whole optimizer step, of all processes.
        parameters: the trainable ones.
        balance: MoE-LoRA's balance loss, or None.
        optimizer: the torch optimizer, not accelerate's wrapper.
        prepare: moves a batch to the model's device.
        backward: of a loss, as accelerate scales it.
        stock: transformers' own training step on the batch; returns the loss.
    """

    number: int
    label_count: int
    parameters: Sequence[nn.Parameter]
    context: DistributedContext
    guard: NanGuard
    balance: BalanceLoss | None
    optimizer: torch.optim.Optimizer
    prepare: Callable[[Any], Any]
    backward: Callable[[Tensor], None]
    stock: Callable[[], Tensor]


class Mean(NamedTuple):
    """A mean, and how many things it is over."""

    value: float
    weight: float = 1.0


def mean_of(parts: Sequence[Mean]) -> float:
    """The mean over the things of all parts.

    Example:
        [(1.0, 3), (0.0, 1)] -> 0.75
    """
    weight = sum(part.weight for part in parts)
    return sum(part.value * part.weight for part in parts) / max(weight, 1e-12)


class StepBackend(Protocol):
    """
    `rows_per_batch` x `batches_per_step` are the rows of an optimizer step. `whole_steps`: a batch of the loader is a
    whole optimizer step, and the backend itself sums gradients over processes. `in_lockstep`: weights are divided among
    processes, so that all must take the same passes. `settings` are recorded in run.json, `notes` are printed.
    `feature_store` keeps image features between epochs, or is None.
    """

    @property
    def name(self) -> str: ...
    @property
    def rows_per_batch(self) -> int: ...
    @property
    def batches_per_step(self) -> int: ...
    @property
    def whole_steps(self) -> bool: ...
    @property
    def in_lockstep(self) -> bool: ...
    @property
    def patchify(self) -> Patchify: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def feature_store(self) -> FeatureStore | None: ...

    def reading(self) -> AbstractContextManager[None]:
        """Around reading rows with the model that is trained; in lockstep all processes read the same rows."""
        ...

    def bytes_per_pixel_value(self, geometry: ImageGeometry) -> int:
        """What one of a pixel's three values takes in a batch."""
        ...

    def collator(self, dummy_example: Example) -> Callable[[list], dict]:
        """Collates examples to a batch; the dummy takes the place of a batch whose rows were all rejected."""
        ...

    def shard(
        self, examples: ExampleDataset, collate: Any, context: DistributedContext
    ) -> tuple[Any, Callable[[list], dict]]:
        """The data set and collator of this process; `collate` is that of a single process."""
        ...

    def validation(self, examples: ExampleDataset | None, dummy_example: Example) -> tuple[Any, Callable[[list], dict]]:
        """The validation rows as `eval_loss` takes them, and their collator."""
        ...

    def label_count(self, total: Any, per_process: Sequence[int]) -> Any:
        """Labels of the optimizer step, from transformers' count and the batches' own in each process."""
        ...

    def train_step(self, model: nn.Module, batch: dict, step: Step) -> Tensor:
        """Forward and backward of a batch; returns the detached loss.

        Raises:
            RunError: the loss is NaN or Inf.
        """
        ...

    def eval_loss(
        self, model: nn.Module, batch: dict, context: DistributedContext = SINGLE_PROCESS
    ) -> tuple[Tensor, Tensor]:
        """Summed loss in nats and number of labels of a batch, without gradients; in lockstep all processes of the
        `context` call it as often, some with a batch without packs."""
        ...

    def measurements(self, *, validation: bool = False) -> Mapping[str, Mean]:
        """Beside the loss, of the steps since the last call or of the validation; names begin with `objective_`."""
        ...
