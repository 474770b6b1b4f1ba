"""First weights that need the data or the checkpoint's own tensors (`adapter.init: eva` and `loftq`)."""

import itertools
from typing import Any

import torch

from texlens.adapters.initialization import start_eva, start_loftq
from texlens.config.run import RunConfig
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.padded_collator import Collator
from texlens.models.build import BaseCheckpoint

EVA_BATCHES = 8
"""Batches whose inputs decide the first directions; more hardly turn them."""


def start_adapter(adapted: Any, config: RunConfig, base: BaseCheckpoint, rows) -> None:
    """Sets the first weights where the run asks for such ones; `rows` are the train rows."""
    init = getattr(config.adapter, "init", "default")
    if init == "loftq":
        start_loftq(adapted, base.folder)
    elif init == "eva":
        start_eva(adapted, list(_batches(config, base, rows)))


def _batches(config: RunConfig, base: BaseCheckpoint, rows):
    processor, size = base.processor, config.train.batch_size
    examples = ExampleDataset(
        rows,
        processor.tokenizer,
        processor.geometry,
        prompt=config.data.prompt,
        system_prompt=config.data.system_prompt,
    )
    collate = Collator(processor.pad_token_id, processor.image_token_id, dummy_example=examples.dummy_example())
    order = iter(range(len(examples)))
    for _ in range(EVA_BATCHES):
        chosen = [examples[index] for index in itertools.islice(order, size)]
        if not chosen:
            return
        batch = collate(chosen)
        yield {name: part for name, part in batch.items() if isinstance(part, torch.Tensor) and name != "labels"}
