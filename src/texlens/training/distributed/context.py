"""What a training process knows about the others, and the few collectives that training uses.

Tensors go through the default process group (NCCL between GPUs, gloo between CPUs); Python objects go through gloo,
which does not synchronize a GPU. `process_group.py` starts and ends the group.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from texlens.core.errors import ConfigError, RunError

MAX_REASON_CHARS = 200
"""Of torch's message, whose first line says what failed."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class DistributedContext:
    """This process among `world_size`. All of them call the methods below in the same order.

    Args:
        local_rank, local_world_size: among the processes of this machine.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @property
    def is_distributed(self) -> bool:
        return self.world_size > 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and the messages."""
        return self.rank == 0

    def all_gather(self, value: Value) -> list[Value]:
        """The values of all processes, ordered by rank.

        Raises:
            RunError: another process is gone.
        """
        if not self.is_distributed:
            return [value]
        values: list[Any] = [None] * self.world_size
        with _lost_peer_is_run_error():
            distributed.all_gather_object(values, value)
        return values

    def broadcast(self, compute: Callable[[], Value]) -> Value:
        """The result of `compute` in the main process, in every process; no other process calls it.

        Raises:
            RunError: another process is gone.
        """
        if not self.is_distributed:
            return compute()
        values = [compute() if self.is_main else None]
        with _lost_peer_is_run_error():
            distributed.broadcast_object_list(values, src=0)
        return values[0]  # type: ignore[return-value]

    def barrier(self) -> None:
        """Returns when every process has called it."""
        self.all_gather(None)

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Replaces the tensor's values by their sum over all processes."""
        if self.is_distributed:
            with _lost_peer_is_run_error():
                distributed.all_reduce(tensor)
        return tensor

    def broadcast_parameters(self, tensors: Iterable[Tensor]) -> None:
        """Copies the main process's values into the tensors of all processes."""
        if not self.is_distributed:
            return
        with _lost_peer_is_run_error():
            for tensor in tensors:
                distributed.broadcast(tensor.detach(), src=0)

    def check_device(self, device: torch.device) -> None:
        """
        Raises:
            ConfigError: the device is another process's GPU.
        """
        if self.is_distributed and device.type == "cuda" and device.index not in (None, self.local_rank):
            raise ConfigError(f"model.device: {device} would be the GPU of all processes; use auto, each takes its own")

    def per_process(self, count: int) -> int:
        """This process's share of `count` things of its machine: at least 1, but 0 of 0."""
        return max(1, count // self.local_world_size) if count else 0


SINGLE_PROCESS = DistributedContext()


@contextmanager
def _lost_peer_is_run_error() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:MAX_REASON_CHARS]
        detail = "" if "by peer" in reason else f" (torch: {reason})"
        raise RunError(
            "another process of this run is gone, perhaps killed for lack of memory; "
            f"`texlens train --resume RUN` continues from the last checkpoint{detail}"
        ) from error
