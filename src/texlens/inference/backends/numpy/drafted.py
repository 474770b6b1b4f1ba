"""Logits of one token after the other, computed many at a time where a draft says what the tokens may be."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from texlens.inference.backends.numpy.forward import Decoder

MOST_MISSES = 3
"""After as many drafted tokens that did not come, the rest is decoded one by one."""


class DraftedLogits:
    """`logits` [vocabulary] of the next token; `take` moves on by the token that was chosen.

    A draft changes how many tokens a pass computes, not which are chosen: what was computed after a drafted token that
    was not chosen is forgotten (speculative decoding, Leviathan et al. 2023, with greedy tokens). The draft then goes
    on behind that token, as if the new one stood in its place.
    """

    def __init__(self, decoder: Decoder, logits: np.ndarray, draft: Sequence[int] = ()):
        self._decoder, self.logits = decoder, logits
        self._draft = list(draft[1:])
        self._computed: deque[tuple[int, np.ndarray]] = deque()
        self._misses = 0

    def take(self, token: int) -> None:
        if self._computed and self._computed[0][0] == token:
            self.logits = self._computed.popleft()[1]
            return
        if self._computed:
            self._decoder.forget(len(self._computed))
            self._misses += 1
            self._draft = [drafted for drafted, _ in self._computed][1:] if self._misses < MOST_MISSES else []
        rows = self._decoder.extend([token, *self._draft])
        self.logits = rows[0]
        self._computed = deque(zip(self._draft, rows[1:], strict=True))
        self._draft = []
