"""`EngineRow`: a row on its way through the engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from texlens.inference.decoding.generation_state import GenerationState
from texlens.inputs.example import Example


@dataclass(eq=False)
class EngineRow:
    """One row: its prompt, and where it is in the engine.

    `launched` counts tokens that the device was asked for, `stale` results under way that follow from a token that a
    grammar refused.
    """

    prompt: Example
    state: GenerationState
    adapter: int
    slot: int = -1
    pages: Sequence[int] = ()
    launched: int = 0
    stale: int = 0

    @property
    def positions(self) -> int:
        """Positions in the cache that the row may need."""
        return len(self.prompt) + self.state.sampling.max_new_tokens

    @property
    def shared_by(self) -> tuple[int, int]:
        """Equal for rows that are read alike: one prompt, one adapter."""
        return id(self.prompt), self.adapter

    @property
    def is_running(self) -> bool:
        return self.state.is_active and self.launched < self.state.sampling.max_new_tokens

    @property
    def is_done(self) -> bool:
        """Whether the device is asked for no more of its tokens. A grammar may refuse one that is under way."""
        return not self.state.is_active or (not self.is_running and self.state.grammar is None)


def seed_of(state: GenerationState) -> int:
    """The seed of a row's draws."""
    return state.seed & 0x7FFFFFFFFFFF
