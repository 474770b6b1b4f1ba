"""The decoding loops that there are, and the one that a model is decoded with.

To add another: write a class with the Protocol `decoding.decoding_batch.DecodingBatch`, and add a function to
`DECODERS` that returns it, or None where it can't run this model; tests/unit/inference/test_decoders.py compares every
entry with the reference.
"""

from collections.abc import Callable, Mapping, Sequence

from texlens.core.errors import ConfigError
from texlens.inference.adapter_switch import AdapterSwitch
from texlens.inference.decoding.continuous_batch import ContinuousBatch
from texlens.inference.decoding.decoding_batch import DecodingBatch
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.engine.engine_batch import engine_batch
from texlens.inputs.example import Example
from texlens.models.processor import Processor

DecoderFactory = Callable[[AdapterSwitch, Processor, Sequence[str | None]], DecodingBatch | None]
"""Called with the model, the processor of its prompts, and the adapters that rows may have."""


def _reference(switch: AdapterSwitch, processor: Processor, adapters: Sequence[str | None]) -> DecodingBatch:
    return ContinuousBatch(switch, processor)


DECODERS: Mapping[str, DecoderFactory] = {
    "engine": engine_batch,
    "reference": _reference,
}
"""By name, the preferred one first; `reference` runs every model."""


def open_decoder(
    switch: AdapterSwitch, processor: Processor, adapters: Sequence[str | None], name: str = "auto"
) -> DecodingBatch:
    """An empty batch for the model; `auto` takes the first entry that can run it.

    Raises:
        ConfigError: no decoder of that name, or it can't run this model.
    """
    if name != "auto" and name not in DECODERS:
        raise ConfigError(f"decoder {name!r} is not known; use auto or one of {', '.join(DECODERS)}")
    for key in DECODERS if name == "auto" else (name,):
        batch = DECODERS[key](switch, processor, adapters)
        if batch is not None:
            return batch
    raise ConfigError(f"decoder {name!r} can't run this model; use auto")


def decode(
    batch: DecodingBatch,
    prompts: Sequence[Example],
    states: Sequence[GenerationState],
    on_step: Callable[[Sequence[GenerationState]], None] | None = None,
) -> None:
    """Generate all rows to their ends; `on_step` is called with all rows after each step."""
    batch.prefill(prompts, states)
    while True:
        if on_step is not None:
            on_step(states)
        if not any(state.is_active for state in states):
            return
        batch.step()
