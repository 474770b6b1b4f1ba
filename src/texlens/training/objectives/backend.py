"""The packed backend with an objective of its own: packs, memory and workers are the packed backend's."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from texlens.data.geometry import ImageGeometry
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example, Patchify
from texlens.inputs.feature_cache import FeatureStore
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.protocol import Mean, Step
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.objectives.protocol import Objective


@dataclass(frozen=True)
class ObjectiveBackend:
    """See `StepBackend`."""

    packed: PackedBackend
    objective: Objective
    batches_per_step: int = 1
    whole_steps: bool = True
    in_lockstep: bool = False

    @property
    def name(self) -> str:
        return self.packed.name

    @property
    def rows_per_batch(self) -> int:
        return self.packed.rows_per_batch

    @property
    def patchify(self) -> Patchify:
        return self.packed.patchify

    @property
    def settings(self) -> Mapping[str, Any]:
        return {key: value for key, value in self.packed.settings.items() if key != "graphs"}

    @property
    def notes(self) -> tuple[str, ...]:
        return self.packed.notes

    @property
    def feature_store(self) -> FeatureStore | None:
        return self.packed.feature_store

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext()

    def bytes_per_pixel_value(self, geometry: ImageGeometry) -> int:
        return self.packed.bytes_per_pixel_value(geometry)

    def collator(self, dummy_example: Example) -> Callable[[list], dict]:
        return self.objective.collate

    def shard(
        self, examples: ExampleDataset, collate: Any, context: DistributedContext
    ) -> tuple[Dataset, Callable[[list], dict]]:
        rows = self.objective.rows(examples)
        return (StepShare(rows, context.rank, context.world_size) if context.is_distributed else rows), collate

    def validation(
        self, examples: ExampleDataset | None, dummy_example: Example
    ) -> tuple[Dataset | None, Callable[[list], dict]]:
        if examples is None:
            return None, self.objective.collate
        rows = self.objective.validation(examples)
        return rows, self.packed.collator(dummy_example) if rows is examples else self.objective.collate

    def label_count(self, total: Any, per_process: Sequence[int]) -> int:
        return sum(per_process)

    def train_step(self, model: nn.Module, batch: dict, step: Step) -> Tensor:
        return self.objective.train_step(model, batch, step)

    def eval_loss(
        self, model: nn.Module, batch: dict, context: DistributedContext = SINGLE_PROCESS
    ) -> tuple[Tensor, Tensor]:
        return self.objective.eval_loss(model, batch)

    def measurements(self, *, validation: bool = False) -> Mapping[str, Mean]:
        return self.objective.measurements(validation=validation)

    def close(self) -> None:
        """Gives back what the objective keeps between steps."""
        self.objective.close()


class StepShare(Dataset):
    """A process's items of each step: of N processes each takes every Nth."""

    def __init__(self, rows: Any, rank: int, processes: int):
        self._rows, self._rank, self._processes = rows, rank, processes

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Any:
        """One row, regardless of the rank that owns it."""
        return self._rows[index]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """
        Args:
            indices: of all rows of a step, in the order that all processes have them in.
        """
        return [self._rows[index] for index in indices[self._rank :: self._processes]]

    def set_epoch(self, epoch: int) -> None:
        self._rows.set_epoch(epoch)
