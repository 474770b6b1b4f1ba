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
    """What a step computes besides greedy tokens; each kind has CUDA graphs of its own.

    `checks`: the host checks tokens against a grammar and may force others.
    """

    draws: bool = False
    alternatives: int = 0
    truncates: bool = False
    penalizes: bool = False
    checks: bool = False

    @classmethod
    def of(cls, samplings: Sequence[Sampling]) -> "StepKind":
        """The kind that all rows can share."""
        distinct = set(samplings)
        drawn = [sampling for sampling in distinct if sampling.temperature]
        alternatives = max((sampling.top_logprobs for sampling in distinct), default=0)
        return cls(
            bool(drawn),
            max(alternatives, MAX_ALTERNATIVES) if alternatives else 0,
            any(sampling.top_p < 1 or sampling.min_p or sampling.top_k for sampling in drawn),
            any(sampling.repetition_penalty != 1.0 for sampling in distinct),
            any(sampling.grammar for sampling in distinct),
        )


class StepOutput(NamedTuple):
    """int32 [3, B]: tokens, bits of the log-probabilities, statuses; alternatives and candidates where asked for."""

    packed: Tensor
    top_tokens: Tensor | None = None
    top_log_probabilities: Tensor | None = None
    candidates: Tensor | None = None


class StepValues(NamedTuple):
    """A step's output on the host: of each row its token, log-probability, status, alternatives and candidates."""

    tokens: list[int]
    log_probabilities: list[float]
    statuses: list[int]
    alternatives: list[list[tuple[int, float]]]
    candidates: list[list[int]]


def pack_output(choice: TokenChoice, status_B: Tensor) -> StepOutput:
    """One tensor, so that the host needs one copy."""
    bits_B = choice.log_probabilities.float().view(torch.int32)
    packed_3B = torch.stack([choice.tokens.int(), bits_B, status_B.int()])
    return StepOutput(packed_3B, choice.top_tokens, choice.top_log_probabilities, choice.candidates)


class Readback:
    """A copy of a step's output on its way to the host."""

    def __init__(self, output: StepOutput, rows: int):
        self._rows = rows
        self._parts = [None if part is None else _started(part) for part in output]
        self._event = None
        if output.packed.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record()

    def wait(self) -> StepValues:
        """The values of the rows."""
        if self._event is not None:
            self._event.synchronize()
        packed_3B, top_tokens_BK, top_logs_BK, candidates_BK = self._parts
        assert packed_3B is not None
        tokens, bits, statuses = (row[: self._rows] for row in packed_3B)
        alternatives: list[list[tuple[int, float]]] = []
        if top_tokens_BK is not None and top_logs_BK is not None:
            pairs = zip(top_tokens_BK.tolist(), top_logs_BK.tolist(), strict=True)
            alternatives = [list(zip(*pair, strict=True)) for pair in pairs][: self._rows]
        log_probabilities = bits.contiguous().view(torch.float32).tolist()
        candidates = [] if candidates_BK is None else candidates_BK[: self._rows].tolist()
        return StepValues(tokens.tolist(), log_probabilities, statuses.tolist(), alternatives, candidates)


def _started(part: Tensor) -> Tensor:
    if not part.is_cuda:
        return part.clone()
    host = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
    return host.copy_(part, non_blocking=True)
