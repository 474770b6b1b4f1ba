"""What a step gives, and how the host reads it while the next one runs.

# B = rows, K = alternatives
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.choose import TokenChoice

MAX_ALTERNATIVES = 20
"""Steps that return alternatives return so many, so that there are few kinds of steps."""


class StepKind(NamedTuple):
    """What a step computes besides greedy tokens; each kind has CUDA graphs of its own."""

    draws: bool = False
    alternatives: int = 0

    @classmethod
    def of(cls, samplings: Sequence[Sampling]) -> "StepKind":
        """The kind that all rows can share."""
        draws = any(sampling.temperature for sampling in samplings)
        alternatives = max((sampling.top_logprobs for sampling in samplings), default=0)
        return cls(draws, max(alternatives, MAX_ALTERNATIVES) if alternatives else 0)


class StepOutput(NamedTuple):
    """int32 [3, B]: tokens, bits of the log-probabilities, statuses; and the alternatives where asked for."""

    packed: Tensor
    top_tokens: Tensor | None = None
    top_log_probabilities: Tensor | None = None


def pack_output(choice: TokenChoice, status_B: Tensor) -> StepOutput:
    """One tensor, so that the host needs one copy."""
    bits_B = choice.log_probabilities.float().view(torch.int32)
    packed_3B = torch.stack([choice.tokens.int(), bits_B, status_B.int()])
    return StepOutput(packed_3B, choice.top_tokens, choice.top_log_probabilities)


class Readback:
    """A copy of a step's output on its way to the host."""

    def __init__(self, output: StepOutput, rows: int):
        self._rows = rows
        self._parts = [None if part is None else _started(part) for part in output]
        self._event = None
        if output.packed.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record()

    def wait(self) -> tuple[list[int], list[float], list[int], list[list[tuple[int, float]]]]:
        """Tokens, log-probabilities, statuses and alternatives of the rows."""
        if self._event is not None:
            self._event.synchronize()
        packed_3B, top_tokens_BK, top_logs_BK = self._parts
        assert packed_3B is not None
        tokens, bits, statuses = (row[: self._rows] for row in packed_3B)
        alternatives: list[list[tuple[int, float]]] = [[] for _ in range(self._rows)]
        if top_tokens_BK is not None and top_logs_BK is not None:
            pairs = zip(top_tokens_BK.tolist(), top_logs_BK.tolist(), strict=True)
            alternatives = [list(zip(*pair, strict=True)) for pair in pairs][: self._rows]
        return tokens.tolist(), bits.contiguous().view(torch.float32).tolist(), statuses.tolist(), alternatives


def _started(part: Tensor) -> Tensor:
    if not part.is_cuda:
        return part.clone()
    host = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
    return host.copy_(part, non_blocking=True)
