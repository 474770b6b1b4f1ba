"""`Objective`: what a step optimizes where it is not the likelihood of the rows' texts.

To add one: its settings in `config/objective.py`, a class with this Protocol, and a line in `build.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.data import Dataset

from texlens.inputs.dataset import ExampleDataset
from texlens.training.backends.protocol import Mean, Step


class Objective(Protocol):
    """All of it runs in the training process but `rows` and `collate`, which the loader's workers use."""

    def rows(self, examples: ExampleDataset) -> Dataset:
        """What the loader takes, one item a train row."""
        ...

    def collate(self, items: Sequence[Any]) -> dict:
        """A batch of this process's items of a step, with `label_count`, the units that the loss is a mean over, and
        `rejected` rows where there are any."""
        ...

    def validation(self, examples: ExampleDataset) -> Dataset:
        """The same for validation rows; `examples` itself leaves them to the likelihood of their texts."""
        ...

    def train_step(self, model: nn.Module, batch: dict, step: Step) -> Tensor:
        """See `StepBackend.train_step`."""
        ...

    def eval_loss(self, model: nn.Module, batch: dict) -> tuple[Tensor, Tensor]:
        """See `StepBackend.eval_loss`."""
        ...

    def measurements(self, *, validation: bool = False) -> Mapping[str, Mean]:
        """Means of steps since the last call, or of the validation, by their names in metrics.jsonl."""
        ...

    def close(self) -> None:
        """Gives back what is kept between steps; nothing is trained after it."""
        ...
