"""The stock forward pass of transformers over padded batches: slower, and the reference of the packed backend."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from texlens.core.errors import RunError
from texlens.data.geometry import ImageGeometry
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example, Patchify
from texlens.inputs.image_patches import image_to_patches
from texlens.inputs.padded_collator import Collator
from texlens.kernels.loss.label_loss import summed_loss
from texlens.models.processor import Processor
from texlens.training.backends.protocol import Mean, Step
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class PlainBackend:
    """See `StepBackend`."""

    processor: Processor
    rows_per_batch: int
    batches_per_step: int
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = "plain"
    whole_steps: bool = False
    in_lockstep: bool = False
    patchify: Patchify = image_to_patches
    feature_store: None = None

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext()

    def bytes_per_pixel_value(self, geometry: ImageGeometry) -> int:
        return FLOAT32_BYTES * geometry.temporal_patch_size

    def collator(self, dummy_example: Example) -> Callable[[list], dict]:
        return Collator(self.processor.pad_token_id, self.processor.image_token_id, dummy_example=dummy_example)

    def shard(
        self, examples: ExampleDataset, collate: Any, context: DistributedContext
    ) -> tuple[ExampleDataset, Callable[[list], dict]]:
        return examples, collate

    def validation(
        self, examples: ExampleDataset | None, dummy_example: Example
    ) -> tuple[ExampleDataset | None, Callable[[list], dict]]:
        return examples, self.collator(dummy_example)

    def measurements(self, *, validation: bool = False) -> Mapping[str, Mean]:
        return {}

    def label_count(self, total: Any, per_process: Sequence[int]) -> Any:
        return total

    def train_step(self, model: nn.Module, batch: dict, step: Step) -> Tensor:
        loss = step.stock()
        if not torch.isfinite(loss):
            raise RunError(
                f"step {step.number}: the loss is {float(loss)}; lower the learning rate, or "
                "look for damaged rows with `texlens data show`"
            )
        return loss

    def eval_loss(
        self, model: nn.Module, batch: dict, context: DistributedContext = SINGLE_PROCESS
    ) -> tuple[Tensor, Tensor]:
        return summed_loss(model, batch)
