"""What the device knows of every row in the engine, one slot each, so that a step needs nothing from the host.

# S = slots (and one more, for the padding of a batch), P = pages of a slot
"""

import torch
from torch import Tensor

from texlens.inference.engine.choose import NOT_FORCED
from texlens.metrics.repetition import MAX_UNIT, MIN_CUT_REPEATS, MIN_CUT_TOKENS

ACTIVE, ENDED, LOOPED, FULL = range(4)
"""A row's status after a step."""

NO_TOKEN = -1


class SlotState:
    """Tensors [S + 1] by slot; the last slot belongs to no row.

    `length` counts tokens in the cache; `offset` is added to it for the M-RoPE position; `count` counts new tokens and
    `limit` bounds them. `recent` holds the last tokens and `runs` how long each has repeated the one c places before,
    for cycles c = 1, 2, …: together they find a text that goes in circles. `forced` is the token
    that a row must take next; `used` [S + 1, V] counts each row's tokens, from the first row with a repetition penalty
    on.
    """

    used: Tensor | None = None

    def __init__(self, slots: int, pages: int, device: torch.device):
        def of(dtype: torch.dtype, *more: int, value: float = 0) -> Tensor:
            return torch.full((slots + 1, *more), value, dtype=dtype, device=device)

        self.slots = slots
        self.token = of(torch.int64)
        self.length, self.offset = of(torch.int32), of(torch.int32)
        self.adapter = of(torch.int32)
        self.count, self.limit = of(torch.int32), of(torch.int32, value=1)
        self.status = of(torch.int32, value=FULL)
        self.temperature, self.top_p = of(torch.float32), of(torch.float32, value=1)
        self.min_p, self.top_k = of(torch.float32), of(torch.int32)
        self.penalty, self.forced = of(torch.float32, value=1), of(torch.int64, value=NOT_FORCED)
        self.seed = of(torch.int64)
        self.guard = of(torch.bool)
        self.pages = of(torch.int32, pages)
        self.recent = of(torch.int32, MAX_UNIT, value=NO_TOKEN)
        self.runs = of(torch.int32, MAX_UNIT)
        cycles = torch.arange(1, MAX_UNIT + 1, device=device)
        self._enough = (MIN_CUT_REPEATS * cycles).clamp(min=MIN_CUT_TOKENS) - cycles

    def join(self, slots_B: Tensor, pages_BP: Tensor, **values: Tensor) -> None:
        """Rows begin in these slots: their pages, and `length`, `offset`, `adapter`, `limit`, `guard`, and what of
        `decoding.sampling.Sampling` has a tensor here."""
        self.pages[slots_B] = pages_BP
        for name, value_B in values.items():
            getattr(self, name)[slots_B] = value_B
        begins = (
            (self.count, 0),
            (self.status, ACTIVE),
            (self.recent, NO_TOKEN),
            (self.runs, 0),
            (self.forced, NOT_FORCED),
        )
        for tensor, value in begins:
            tensor.index_fill_(0, slots_B, value)
        if self.used is not None:
            self.used.index_fill_(0, slots_B, 0)

    def count_tokens(self, vocabulary: int) -> None:
        """From now on `used` counts tokens; graphs that were recorded before don't."""
        if self.used is None:
            self.used = torch.zeros(self.slots + 1, vocabulary, dtype=torch.int16, device=self.token.device)

    def rewind(self, slot: int, *, token: int, length: int, tokens: list[int], forced: int) -> None:
        """The row's next step decodes `token` again, the last one before it was wrong, and takes `forced`.

        Args:
            length: tokens in the cache before that step.
            tokens: that the row keeps.
        """
        for tensor, value in (
            (self.token, token),
            (self.length, length),
            (self.count, len(tokens)),
            (self.status, ACTIVE),
            (self.forced, forced),
        ):
            tensor[slot].fill_(value)
        if self.used is not None:
            self.used[slot].zero_()
            own_tokens = torch.tensor(tokens, dtype=torch.int64).to(self.used.device)
            self.used[slot].index_add_(0, own_tokens, torch.ones_like(own_tokens, dtype=torch.int16))

    def take(self, slots_B: Tensor, tokens_B: Tensor, ends_E: Tensor, *, decoded: bool) -> Tensor:
        """Appends a token to each row that is going; returns each row's status.

        Args:
            ends_E: tokens that end a turn.
            decoded: whether the token before is in the cache since this step.
        """
        active_B = self.status[slots_B] == ACTIVE
        count_B = self.count[slots_B] + active_B
        recent_BC, runs_BC = self.recent[slots_B], self.runs[slots_B]
        equal_BC = recent_BC == tokens_B[:, None]
        runs_BC = torch.where(equal_BC, runs_BC + 1, 0)
        looped_B = (runs_BC >= self._enough).any(-1) & self.guard[slots_B]
        ended_B = (tokens_B[:, None] == ends_E).any(-1)
        full_B = count_B >= self.limit[slots_B]
        status_B = torch.where(full_B, FULL, ACTIVE)
        status_B = torch.where(looped_B, LOOPED, status_B)
        status_B = torch.where(ended_B, ENDED, status_B)
        status_B = torch.where(active_B, status_B.int(), self.status[slots_B])
        self.token[slots_B] = tokens_B
        self.forced.index_fill_(0, slots_B, NOT_FORCED)
        if self.used is not None:
            places_B = slots_B * self.used.shape[1] + tokens_B
            self.used.view(-1).scatter_add_(0, places_B, active_B.to(torch.int16))
        self.count[slots_B], self.status[slots_B] = count_B, status_B
        self.recent[slots_B] = torch.cat([tokens_B[:, None].int(), recent_BC[:, :-1]], -1)
        self.runs[slots_B] = runs_BC.int()
        if decoded:
            self.length[slots_B] += active_B
        return status_B
