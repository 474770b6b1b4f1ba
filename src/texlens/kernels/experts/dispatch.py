"""Where pairs of token and expert are computed: in this process, or by the processes that have the experts' weights.

With experts divided among processes, rows travel by `all_to_all_single`: each process sends the rows of its tokens to
the owners of their experts, and gets the products back. All processes run the same layers in the same order, so their
exchanges meet; how many rows travel is exchanged first, once for a layer and pack.

# T = tokens, D = width, E = experts, K = experts of a token, S = T K pairs of this process, sorted by expert
# P = processes, X = rows that this process's experts get
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, distributed

from texlens.kernels.experts.api import expert_kernels
from texlens.kernels.experts.routing import Routing


@runtime_checkable
class Dispatch(Protocol):
    """Rows of a layer's pairs, at their experts. `ends`: int32, where the rows of each expert of this process end."""

    @property
    def ends(self) -> Tensor: ...

    def gather(self, x: Float[Tensor, "T D"], extra_columns: int = 0) -> Float[Tensor, "X columns"]:
        """The row of each pair's token, sorted by expert; the values of extra columns are undefined."""
        ...

    def combine(
        self, y: Float[Tensor, "X D"], weights: Float[Tensor, "T K"] | None, addend: Float[Tensor, "T D"] | None
    ) -> Float[Tensor, "T D"]:
        """The sum of each token's pairs, weighted if given, plus `addend`."""
        ...

    def pair_weights(self, weights: Float[Tensor, "T K"]) -> Float[Tensor, " X"]:
        """The weight of each row."""
        ...

    def weight_grads(self, grads: Float[Tensor, " X"]) -> Float[Tensor, "T K"]:
        """The gradients of the tokens' weights from those of the rows."""
        ...


@dataclass(frozen=True)
class LocalDispatch:
    """All experts are in this process."""

    routing: Routing

    @property
    def ends(self) -> Tensor:
        return self.routing.ends

    def gather(self, x: Tensor, extra_columns: int = 0) -> Tensor:
        return expert_kernels(x).gather(x, self.routing.tokens, extra_columns)

    def combine(self, y: Tensor, weights: Tensor | None, addend: Tensor | None) -> Tensor:
        return expert_kernels(y).combine(y, self.routing.places, weights, addend)

    def pair_weights(self, weights: Tensor) -> Tensor:
        return weights.flatten()[self.routing.order]

    def weight_grads(self, grads: Tensor) -> Tensor:
        return grads[self.routing.places]


@dataclass(frozen=True)
class ExpertOwners:
    """Which process has which experts.

    Args:
        bounds: [P + 1], where each process's experts begin, and the number of all.
        group: the processes; None is all.
    """

    bounds: tuple[int, ...]
    rank: int
    group: Any = None

    @classmethod
    def of(cls, experts: int, rank: int, processes: int, group: Any = None) -> "ExpertOwners":
        """About as many experts for each process."""
        shares = (experts // processes + (process < experts % processes) for process in range(processes))
        return cls((0, *accumulate(shares)), rank, group)

    @property
    def experts(self) -> slice:
        """Those of this process."""
        return slice(*self.bounds[self.rank : self.rank + 2])

    def dispatch(self, routing: Routing) -> "DividedDispatch":
        """Exchanges how many rows travel; waits for the device."""
        sizes = torch.diff(routing.ends, prepend=routing.ends.new_zeros(1))
        mine = self.experts.stop - self.experts.start
        processes = len(self.bounds) - 1
        received = sizes.new_empty(processes * mine)
        shares = [stop - start for start, stop in pairwise(self.bounds)]
        distributed.all_to_all_single(received, sizes, [mine] * processes, shares, group=self.group)
        received = received.view(processes, mine)
        sent = [part.sum() for part in sizes.split(shares)]
        counts = torch.stack([*sent, *received.sum(1)]).tolist()
        return DividedDispatch(routing, self.group, counts[:processes], counts[processes:], received)


class DividedDispatch:
    """
    Args:
        sent: rows to each process; they are contiguous, because pairs are sorted by expert.
        received: rows from each process.
        sizes: [P, E of this process], rows from each process for each expert.
    """

    def __init__(self, routing: Routing, group: Any, sent: list[int], received: list[int], sizes: Tensor):
        self.routing, self.group, self.sent, self.received = routing, group, sent, received
        self.ends = sizes.sum(0).cumsum(0).to(torch.int32)
        processes, experts = sizes.shape
        numbers = torch.arange(experts, device=sizes.device).repeat(processes)
        expert_of_row = numbers.repeat_interleave(sizes.flatten().long(), output_size=sum(received))
        self._order = expert_of_row.sort(stable=True).indices
        self._back = torch.empty_like(self._order)
        self._back[self._order] = torch.arange(len(self._order), device=sizes.device)

    def gather(self, x: Tensor, extra_columns: int = 0) -> Tensor:
        rows = self.to_experts(expert_kernels(x).gather(x, self.routing.tokens))
        if not len(rows):
            return rows.new_zeros(int(rows.is_cuda), rows.shape[1] + extra_columns)  # kernels need a row, of no expert
        return expert_kernels(x).gather(rows, self._order, extra_columns)

    def combine(self, y: Tensor, weights: Tensor | None, addend: Tensor | None) -> Tensor:
        return expert_kernels(y).combine(self.to_tokens(y[self._back]), self.routing.places, weights, addend)

    def pair_weights(self, weights: Tensor) -> Tensor:
        rows = self.to_experts(weights.flatten()[self.routing.order])[self._order]
        return rows if len(rows) else rows.new_zeros(int(rows.is_cuda))

    def weight_grads(self, grads: Tensor) -> Tensor:
        return self.to_tokens(grads[self._back])[self.routing.places]

    def rows_of(self, x: Tensor) -> Tensor:
        """`gather` with autograd."""
        return self.to_experts(x[self.routing.tokens])[self._order]

    def pairs_of(self, y: Tensor) -> Tensor:
        """The products of this process's pairs [S, D], with autograd."""
        return self.to_tokens(y[self._back])

    def to_experts(self, pairs: Tensor) -> Tensor:
        """From pairs [S, …] of this process to rows [X, …], sorted by process."""
        return _Exchange.apply(pairs, self.received, self.sent, self.group)

    def to_tokens(self, rows: Tensor) -> Tensor:
        """The reverse of `to_experts`."""
        return _Exchange.apply(rows, self.sent, self.received, self.group)


class _Exchange(torch.autograd.Function):
    """`all_to_all_single`, whose gradient travels the other way."""

    @staticmethod
    def forward(ctx, rows: Tensor, received: list[int], sent: list[int], group: Any) -> Tensor:
        ctx.arguments = received, sent, group
        return _exchanged(rows, received, sent, group)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        received, sent, group = ctx.arguments
        return _exchanged(grads[0], sent, received, group), None, None, None


def _exchanged(rows: Tensor, received: list[int], sent: list[int], group: Any) -> Tensor:
    result = rows.new_empty(sum(received), *rows.shape[1:])
    distributed.all_to_all_single(result, rows.contiguous(), received, sent, group=group)
    return result


def dispatch_of(routing: Routing, owners: ExpertOwners | None) -> Dispatch:
    """By the owners of the experts, or in this process."""
    return LocalDispatch(routing) if owners is None else owners.dispatch(routing)
