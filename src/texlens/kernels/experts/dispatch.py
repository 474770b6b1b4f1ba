"""Where pairs of token and expert are computed: in this process, or by the processes that have the experts' weights.

With experts divided among processes, rows travel by `all_to_all_single`: each process sends the row of a token once to
each process that has some of its experts, and gets the sum of their products back. All processes run the same layers in
the same order, so their exchanges meet; how many rows travel is exchanged first, once for a layer and pack.

# T = tokens, D = width, E = experts, K = experts of a token, S = T K pairs of this process, sorted by expert
# P = processes, X = pairs that this process's experts get, R = rows of tokens that it gets for them
"""

from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol, runtime_checkable

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
        """Exchanges how many pairs and rows travel; waits for the device."""
        sizes = torch.diff(routing.ends, prepend=routing.ends.new_zeros(1))
        mine, processes = self.experts.stop - self.experts.start, len(self.bounds) - 1
        shares = [stop - start for start, stop in pairwise(self.bounds)]
        owners = _owners(self.bounds, sizes.device)[routing.experts]
        sent_rows = SentRows.of(routing, owners, processes)  # queued before this process waits for the device
        rows = sent_rows.needs.sum(0, dtype=sizes.dtype)
        parts = sizes.split(shares)
        sent = torch.cat([part for pair in zip(parts, rows.split(1), strict=True) for part in pair])
        received = sizes.new_empty(processes * (mine + 1))
        sent_sizes = [share + 1 for share in shares]
        distributed.all_to_all_single(received, sent, [mine + 1] * processes, sent_sizes, group=self.group)
        received = received.view(processes, mine + 1)
        totals = [torch.stack([part.sum() for part in parts]), received[:, :-1].sum(1), rows, received[:, -1]]
        traffic = Traffic(*torch.stack(totals).tolist())
        return DividedDispatch(routing, self.group, traffic, sent_rows, received)


@cache
def _owners(bounds: tuple[int, ...], device: torch.device) -> Tensor:
    """The process of each expert."""
    owners = [process for process, (start, stop) in enumerate(pairwise(bounds)) for _ in range(start, stop)]
    return torch.tensor(owners, device=device)


class Traffic(NamedTuple):
    """How many travel to and from each process: pairs of token and expert, and rows of tokens, a row for all pairs of a
    token whose experts one process has."""

    pairs_sent: list[int]
    pairs_received: list[int]
    rows_sent: list[int]
    rows_received: list[int]


class SentRows(NamedTuple):
    """Rows of tokens by the process that they travel to.

    Args:
        needs: bool [T, P], which processes a token's row travels to.
        tokens: of the rows, [P T], of which the first are meant.
        places: [T, P], where a token's rows are among them, and any of these for a process that gets none.
        codes: [S], of each pair the number of its row among those of its process, times K, plus its place in [T, K].
    """

    needs: Tensor
    tokens: Tensor
    places: Tensor
    codes: Tensor

    @classmethod
    def of(cls, routing: Routing, owners: Tensor, processes: int) -> "SentRows":
        """
        Args:
            owners: [T, K], the process of each pair's expert.
        """
        tokens, choices = owners.shape
        needs = torch.zeros(tokens, processes, dtype=torch.bool, device=owners.device).scatter_(1, owners, True)
        needed = needs.T.flatten()
        position = needed.cumsum(0) - 1
        numbers = torch.arange(tokens, device=owners.device).repeat(processes)
        dumped = tokens * processes
        sent = numbers.new_zeros(dumped + 1).scatter_(0, torch.where(needed, position, dumped), numbers)[:dumped]
        positions = torch.where(needed, position, -1).view(processes, tokens).T
        places = torch.where(needs, positions, positions.amax(1, keepdim=True)).contiguous()
        counts = needs.sum(0)
        owner = owners.flatten()[routing.order]
        row = places[routing.tokens, owner] - (counts.cumsum(0) - counts)[owner]
        return cls(needs, sent, places, row * choices + routing.order % choices)


class DividedDispatch:
    """
    Args:
        received: [P, E of this process + 1], from each process its pairs for each expert, and its rows.

    `_rows` [X] is the received row of each pair here, sorted by expert; `_places` [R, K] where the pairs of a received
    row are among them, of which `_present` says which are here.
    """

    def __init__(self, routing: Routing, group: Any, traffic: Traffic, sent_rows: SentRows, received: Tensor):
        self.routing, self.group, self.traffic, self.needs = routing, group, traffic, sent_rows.needs
        self._sent_tokens, self._token_places = sent_rows.tokens[: sum(traffic.rows_sent)], sent_rows.places
        self._weights: tuple[Tensor, Tensor] | None = None
        sizes, rows = received[:, :-1].long(), received[:, -1].long()
        processes, experts = sizes.shape
        pairs, count, choices = sum(traffic.pairs_received), sum(traffic.rows_received), routing.experts.shape[1]
        self.ends = sizes.sum(0).cumsum(0).to(torch.int32)
        numbers = torch.arange(experts, device=sizes.device).repeat(processes)
        self._order = numbers.repeat_interleave(sizes.flatten(), output_size=pairs).sort(stable=True).indices
        self._back = torch.empty_like(self._order)
        self._back[self._order] = torch.arange(pairs, device=sizes.device)
        first_rows = (rows.cumsum(0) - rows).repeat_interleave(sizes.sum(1), output_size=pairs)
        self._slots = self.to_experts(sent_rows.codes) + first_rows * choices
        self._rows = (self._slots // choices)[self._order]
        places = self._back.new_full((count * choices,), -1).scatter_(0, self._slots, self._back).view(count, choices)
        self._present = places >= 0
        self._places = torch.where(self._present, places, places.amax(1, keepdim=True)) if count else places

    def gather(self, x: Tensor, extra_columns: int = 0) -> Tensor:
        kernels, traffic = expert_kernels(x), self.traffic
        rows = _exchanged(kernels.gather(x, self._sent_tokens), traffic.rows_received, traffic.rows_sent, self.group)
        if not len(rows):
            return rows.new_zeros(int(rows.is_cuda), rows.shape[1] + extra_columns)  # kernels need a row, of no expert
        return kernels.gather(rows, self._rows, extra_columns)

    def combine(self, y: Tensor, weights: Tensor | None, addend: Tensor | None) -> Tensor:
        """The pairs of a token that one process has are added up there; the sums travel in 32 bits, so that the total
        is rounded once, as that of one process."""
        kernels, traffic = expert_kernels(y), self.traffic
        here = self._present.to(y.dtype) if weights is None else self._weights_of_rows(weights)
        exact = torch.promote_types(y.dtype, torch.float32)
        sums = y.new_empty(0, y.shape[1], dtype=exact)
        if len(here):
            sums = kernels.combine(y, self._places, here, None, exact)
        sums = _exchanged(sums, traffic.rows_sent, traffic.rows_received, self.group)
        return kernels.combine(sums, self._token_places, self.needs.to(exact), addend, y.dtype)

    def pair_weights(self, weights: Tensor) -> Tensor:
        rows = self._received_weights(weights)[self._order]
        return rows if len(rows) else rows.new_zeros(int(rows.is_cuda))

    def _weights_of_rows(self, weights: Tensor) -> Tensor:
        """[R, K], 0 for pairs that are not here."""
        received = self._received_weights(weights)
        return received.new_zeros(self._places.numel()).scatter_(0, self._slots, received).view_as(self._places)

    def _received_weights(self, weights: Tensor) -> Tensor:
        """They travel once for both passes."""
        if self._weights is None or self._weights[0] is not weights:
            self._weights = weights, self.to_experts(weights.flatten()[self.routing.order])
        return self._weights[1]

    def weight_grads(self, grads: Tensor) -> Tensor:
        return self.to_tokens(grads[self._back])[self.routing.places]

    def rows_of(self, x: Tensor) -> Tensor:
        """`gather` with autograd, a row for each pair."""
        return self.to_experts(x[self.routing.tokens])[self._order]

    def pairs_of(self, y: Tensor) -> Tensor:
        """The products of this process's pairs [S, D], with autograd."""
        return self.to_tokens(y[self._back])

    def to_experts(self, pairs: Tensor) -> Tensor:
        """From pairs [S, …] of this process to those of its experts, sorted by process."""
        return _Exchange.apply(pairs, self.traffic.pairs_received, self.traffic.pairs_sent, self.group)

    def to_tokens(self, pairs: Tensor) -> Tensor:
        """The reverse of `to_experts`."""
        return _Exchange.apply(pairs, self.traffic.pairs_sent, self.traffic.pairs_received, self.group)


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
