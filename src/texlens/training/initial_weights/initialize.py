"""Initial adapter weights that need the data or the checkpoint's own tensors (`adapter.init: eva` and `loftq`)."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from texlens.adapters.initialization import initialize_eva, initialize_loftq
from texlens.config.run import RunConfig
from texlens.data.load import Rows
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.padded_collator import Collator
from texlens.models.build import BaseCheckpoint

EVA_BATCHES = 8
"""Batches whose inputs decide the initial directions; more batches change them little."""


def initialize_adapter(adapted: Any, config: RunConfig, base: BaseCheckpoint, train_rows: Rows) -> None:
    """Sets the initial weights where the run's `adapter.init` needs rows or the checkpoint."""
    init = getattr(config.adapter, "init", "default")
    if init == "loftq":
        initialize_loftq(adapted, base.folder)
    elif init == "eva":
        initialize_eva(adapted, list(_batches(config, base, train_rows)))


def _batches(config: RunConfig, base: BaseCheckpoint, train_rows: Rows) -> Iterator[dict[str, torch.Tensor]]:
    processor, size = base.processor, config.train.batch_size
    examples = ExampleDataset(
        train_rows,
        processor.tokenizer,
        processor.geometry,
        prompt=config.data.prompt,
        system_prompt=config.data.system_prompt,
    )
    collate = Collator(processor.pad_token_id, processor.image_token_id, dummy_example=examples.dummy_example())
    order = iter(range(len(examples)))
    for _ in range(EVA_BATCHES):
        items = [examples[index] for index in itertools.islice(order, size)]
        if not items:
            return
        batch = collate(items)
        yield {name: value for name, value in batch.items() if isinstance(value, torch.Tensor) and name != "labels"}
