"""`DecodingBatch`: the seam between scheduling rows and computing their next tokens.

`continuous_batch.ContinuousBatch` is the reference. A faster one keeps the same Protocol, is registered in
`inference/decoders.py`, and a test compares its tokens and log-probabilities with the reference's.
"""

from collections.abc import Sequence
from typing import Protocol

from texlens.inference.decoding.generation_state import GenerationState
from texlens.inputs.example import Example


class DecodingBatch(Protocol):
    """Rows that are generated together; rows join and leave between steps. Not thread-safe."""

    @property
    def raw_patches(self) -> bool:
        """Whether prompts bring uint8 patches of one frame (`image_to_raw_patches`) instead of normalized float32."""
        ...

    @property
    def states(self) -> Sequence[GenerationState]:
        """Rows in the batch, whatever their adapters; finished ones leave at the next step or prefill."""
        ...

    def prefill(self, prompts: Sequence[Example], states: Sequence[GenerationState]) -> None:
        """Read prompts and images and add their rows to the batch, each under its state's adapter.

        Args:
            prompts: without labels; copies of one prompt are the same object.
            states: one for each prompt; a row whose `is_active` turns False is done.
        """
        ...

    def step(self) -> None:
        """Append tokens to active rows.

        One token a step in the reference; another implementation may lag behind or append several, but as long as rows
        are active, steps append the remaining tokens.
        """
        ...
