"""What `TexlensTrainer` is given beside the model and TrainingArguments, by subject."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.inputs.dataset import ExampleDataset
from texlens.metrics.prediction import Prediction
from texlens.training.backends.protocol import StepBackend
from texlens.training.checkpoints.origin import Origin
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.logging.throughput import ThroughputMeter
from texlens.training.optimizer_groups import GroupLearningRates
from texlens.training.stop import StopRequest


@dataclass(frozen=True)
class StepOptions:
    """How a step is computed.

    Args:
        backend: packed or plain.
        learning_rates: of module groups that have their own.
        balance: MoE-LoRA's balance loss, or None.
        context: in a distributed run with the packed backend, every process is given all rows of a step by its sampler
            and takes its own packs of them.
    """

    backend: StepBackend
    learning_rates: GroupLearningRates = field(default_factory=GroupLearningRates)
    balance: BalanceLoss | None = None
    context: DistributedContext = SINGLE_PROCESS


@dataclass(frozen=True)
class CheckpointOptions:
    """
    Args:
        folder: of the checkpoints.
        best_folder: of the best adapter so far, replaced as a whole.
        save_model: writes the trained weights into a folder, in PEFT's format.
        keep: checkpoints that stay on disk beside the best.
        origin: data, base and settings, saved with every checkpoint.
        stop: a signal that ends the training early.
        keep_new_options: learning rates, weight decay and schedule of the settings replace those of the checkpoint
            that training continues from.
    """

    folder: Path
    best_folder: Path
    save_model: Callable[[Path], None]
    origin: Origin
    stop: StopRequest
    keep: int = 2
    keep_new_options: bool = False


class ValidationObserver(Protocol):
    """Sees each measurement of the validation loss.

    `batch_size`: rows of a batch of the measurement, instead of the training's own.
    """

    @property
    def batch_size(self) -> int: ...

    def __call__(
        self, step: int, max_steps: int, batches: Sequence[tuple[float, int]], predictions: Sequence[Prediction]
    ) -> bool:
        """Whether training ends here.

        Args:
            batches: summed loss in nats and number of labels of each batch, always of the same rows.
            predictions: of the validation rows that are read: `generation_rows`, or those that trackers show.
        """
        ...


class ValidationReadings(Protocol):
    """Reads validation rows with the present weights; a call returns their scores by name."""

    predictions: list[Prediction]

    def __call__(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class ValidationOptions:
    """
    Args:
        dataset: validation rows, or None.
        collator: for batches of them.
        readings: see `ValidationReadings`, or None.
        observer: see `ValidationObserver`.
    """

    dataset: ExampleDataset | None
    collator: Callable
    readings: ValidationReadings | None = None
    observer: ValidationObserver | None = None


@dataclass(frozen=True)
class Reporting:
    """
    Args:
        throughput: counts rows and tokens of every batch.
        warn: called once for each row that can't be decoded.
    """

    throughput: ThroughputMeter
    warn: Callable[[str], None]
