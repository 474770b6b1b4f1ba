"""Rows and tokens per second, and peak memory, of all processes together."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class BatchStats:
    """What a process trains on in a step. `tokens` may be a tensor on the GPU."""

    rows: int
    tokens: torch.Tensor | int

    @classmethod
    def of(cls, batch: dict) -> "BatchStats":
        if "prompts" in batch:
            return cls(len(batch["prompts"]), sum(len(prompt.example) for prompt in batch["prompts"]))
        if "packs" in batch:
            packs = batch["packs"]
            return cls(sum(len(pack["rows"]) for pack in packs), sum(pack["tokens"] for pack in packs))
        return cls(len(batch["input_ids"]), batch["attention_mask"].sum())

    def on_host(self) -> "BatchStats":
        """With plain numbers, for other processes, whose GPUs must not receive this one's tensors."""
        return BatchStats(self.rows, int(self.tokens))


class ThroughputMeter:
    """Counts rows and tokens, each process's rows, and the peak memory of the process that used most.

    Token counts on a GPU are copied to the host only in `measure`.
    """

    def __init__(self):
        self.rows_per_process: list[int] = []
        self.tokens: torch.Tensor | int = 0
        self._previous = (time.monotonic(), 0, 0)
        self._memory_gib = 0.0

    @property
    def rows(self) -> int:
        return sum(self.rows_per_process)

    @property
    def memory_gib(self) -> float:
        return max(self._memory_gib, peak_memory_gib())

    def count(self, batches: Sequence[BatchStats], memory_gib: float = 0.0) -> None:
        """
        Args:
            batches: of each process.
            memory_gib: the largest peak among the other processes.
        """
        self.rows_per_process = self.rows_per_process or [0] * len(batches)
        self.rows_per_process = [rows + batch.rows for rows, batch in zip(self.rows_per_process, batches, strict=True)]
        self.tokens = self.tokens + sum(batch.tokens for batch in batches)
        self._memory_gib = max(self._memory_gib, memory_gib)

    def start(self) -> None:
        """Begins an interval; time spent before it, in validation for instance, does not count."""
        self._previous = (time.monotonic(), self.rows, int(self.tokens))

    def measure(self) -> dict[str, float]:
        """Rates since `start` or the last call."""
        now, rows, tokens = time.monotonic(), self.rows, int(self.tokens)
        previous_time, previous_rows, previous_tokens = self._previous
        self._previous = (now, rows, tokens)
        seconds = max(now - previous_time, 1e-9)
        return {
            "samples_per_s": round((rows - previous_rows) / seconds, 2),
            "tokens_per_s": round((tokens - previous_tokens) / seconds, 1),
            "memory_gib": round(self.memory_gib, 3),
        }


def peak_memory_gib() -> float:
    """Peak of the GPU's allocated memory, or of this process's resident memory where there is no GPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return peak_resident_bytes() / 2**30


def peak_resident_bytes() -> int:
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
