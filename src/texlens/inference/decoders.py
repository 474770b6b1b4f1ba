"""The decoding loops that there are, and the one that a model is decoded with.

To add another: write a class with the Protocol `decoding.decoding_batch.DecodingBatch`, and add a function here that
returns it, or None where it can't run this model; a test in tests/unit/inference/test_decoders.py compares every entry
with the reference.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from texlens.core.errors import ConfigError
from texlens.inference.decoding.continuous_batch import ContinuousBatch
from texlens.inference.decoding.decoding_batch import DecodingBatch
from texlens.inference.decoding.generation_state import GenerationState

DecoderFactory = Callable[[torch.nn.Module, frozenset[int]], DecodingBatch | None]

DECODERS: Mapping[str, DecoderFactory] = {
    "reference": ContinuousBatch,
}
"""By name, the preferred one first; `reference` runs every model."""


def open_decoder(model: torch.nn.Module, end_ids: frozenset[int], name: str = "auto") -> DecodingBatch:
    """An empty batch for the model; `auto` takes the first entry that can run it.

    Raises:
        ConfigError: no decoder of that name, or it can't run this model.
    """
    if name != "auto" and name not in DECODERS:
        raise ConfigError(f"decoder {name!r} is not known; use auto or one of {', '.join(DECODERS)}")
    for key in DECODERS if name == "auto" else (name,):
        batch = DECODERS[key](model, end_ids)
        if batch is not None:
            return batch
    raise ConfigError(f"decoder {name!r} can't run this model; use auto")


def decode(
    batch: DecodingBatch,
    inputs: dict[str, Tensor],
    states: Sequence[GenerationState],
    on_step: Callable[[Sequence[GenerationState]], None] | None = None,
) -> None:
    """Generate all rows to their ends.

    Args:
        inputs: as `DecodingBatch.prefill`.
        on_step: called with all rows after each token.
    """
    batch.prefill(inputs, states)
    while True:
        if on_step is not None:
            on_step(states)
        if not batch.states:
            return
        batch.step()
