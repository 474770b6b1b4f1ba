"""`DecodingBatch`: the seam between scheduling rows and computing their next tokens.

`continuous_batch.ContinuousBatch` is the reference. A faster one keeps the same Protocol, is registered in
`inference/decoders.py`, and a test compares its tokens and log-probabilities with the reference's.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from texlens.inference.decoding.generation_state import GenerationState


class DecodingBatch(Protocol):
    """Rows that are generated together; rows join and leave between steps. Not thread-safe."""

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end a turn."""
        ...

    @property
    def states(self) -> Sequence[GenerationState]:
        """Rows in the batch; finished ones leave at the next step or prefill."""
        ...

    def prefill(self, inputs: dict[str, Tensor], states: Sequence[GenerationState]) -> None:
        """Read prompts and images, append the first token of each row, and keep the rows that go on.

        Args:
            inputs: input_ids, attention_mask, mm_token_type_ids [B, L] padded on the left; pixel_values [P, C] and
                image_grid_thw [images, 3].
            states: one a row, in order; rows whose `is_active` turns False are done.
        """
        ...

    def step(self) -> None:
        """Append one token to each active row."""
        ...
