"""`Sampling`: how the next token of one row is chosen. No torch, so that reading without torch can use it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """Greedy decoding by default; `temperature` draws from the distribution instead.

    Attributes:
        max_new_tokens: generated tokens at most, the end-of-turn token included.
        temperature: divides the logits; None is greedy.
        top_p: nucleus sampling (Holtzman et al. 2020): the smallest set of most probable tokens that holds this
            probability.
        min_p: tokens whose probability is under `min_p` times that of the most probable one are dropped
            (Nguyen et al. 2024).
        top_k: only the k most probable tokens are kept; 0 keeps all.
        repetition_penalty: logits of tokens that the row has generated are divided by it where positive and multiplied
            where negative (Keskar et al. 2019, section 4.1); 1 changes nothing. It applies to greedy decoding too.
        top_logprobs: alternatives recorded for each token.
        grammar: only tokens that a formula can go on with (see `decoding.grammar`); a drawn token that the grammar
            refuses is replaced by the most probable one that it accepts.
        repetition_guard: end a row that repeats the same few tokens (its stop reason is then `loop`).
    """

    max_new_tokens: int = 512
    temperature: float | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    top_logprobs: int = 0
    repetition_guard: bool = True
    grammar: bool = False

    @property
    def is_greedy(self) -> bool:
        return not self.temperature

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the next token is the most probable one, with no penalty, grammar or alternatives to record."""
        return self.is_greedy and self.repetition_penalty == 1.0 and not self.top_logprobs and not self.grammar
