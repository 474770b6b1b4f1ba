"""One batch of prompts to tokens, with a key-value cache: the inner loop of generation.

It does what `model.generate` does for a batch (a test compares the two token for token), and besides lets finished
rows leave the batch, stops rows that loop, and sums log-probabilities without keeping logits.

Legend: B = rows still in the batch, L = prompt tokens with padding on the left, V = vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from texlens.core.prediction import StopReason

LONGEST_CYCLE = 8
LEAST_REPEATS = 8
LEAST_LOOP_TOKENS = 48
"""Of the 8,808 texts in LaTeX_OCR, the longest honest repetition is 39 tokens (13 times `1 , \\`)."""


@dataclass
class Decoded:
    """The tokens that one row of a batch was answered with (the one that ended the turn included)."""

    tokens: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    stop: StopReason = "length"


def is_looping(tokens: Sequence[int]) -> bool:
    """Whether the text ends in a cycle of up to 8 tokens, said at least 8 times over at least 48 tokens."""
    for cycle in range(1, LONGEST_CYCLE + 1):
        span = max(LEAST_REPEATS * cycle, LEAST_LOOP_TOKENS)
        if len(tokens) < span:
            return False
        if tokens[-1] == tokens[-1 - cycle] and tokens[-span:-cycle] == tokens[cycle - span :]:
            return True
    return False


@torch.no_grad()
def decode_batch(
    model: torch.nn.Module,
    inputs: dict[str, Tensor],
    *,
    max_new_tokens: int,
    end_ids: frozenset[int],
    temperature: float | None = None,
    generator: torch.Generator | None = None,
    repetition_guard: bool = True,
) -> list[Decoded]:
    """What the model answers to each row, in order.

    Args:
        inputs: input_ids_BL, attention_mask_BL, mm_token_type_ids_BL padded on the left; pixel_values, image_grid_thw.
        end_ids: tokens that end a turn.
        temperature: draw from the distribution with `generator`; the likeliest token where None.
    """
    state = _Batch(inputs)
    logits_BV = state.prefill(model, inputs)
    done = [Decoded() for _ in range(state.size)]
    for step in range(1, max_new_tokens + 1):
        tokens_B, log_probabilities = _pick(logits_BV, temperature, generator)
        going = _record(
            [done[row] for row in state.rows], tokens_B.tolist(), log_probabilities, end_ids, repetition_guard
        )
        if step == max_new_tokens or not any(going):
            return done
        logits_BV = state.step(model, tokens_B, going)
    return done


def _pick(
    logits_BV: Tensor, temperature: float | None, generator: torch.Generator | None
) -> tuple[Tensor, list[float]]:
    """A token for each row and its natural log-probability, under the model's own distribution."""
    log_probabilities_BV = logits_BV.float().log_softmax(-1)
    if temperature is None:
        tokens_B = log_probabilities_BV.argmax(-1)
    else:
        tokens_B = torch.multinomial((log_probabilities_BV / temperature).softmax(-1), 1, generator=generator)[:, 0]
    return tokens_B, log_probabilities_BV.gather(1, tokens_B[:, None])[:, 0].tolist()


def _record(
    rows: list[Decoded], tokens: list[int], log_probabilities: list[float], end_ids: frozenset[int], guard: bool
) -> list[bool]:
    """Append a token to each unfinished row; which rows go on."""
    going = []
    for row, token, log_probability in zip(rows, tokens, log_probabilities, strict=True):
        if row.stop == "length":
            row.tokens.append(token)
            row.log_probability += log_probability
            if token in end_ids:
                row.stop = "end"
            elif guard and is_looping(row.tokens):
                row.stop = "loop"
        going.append(row.stop == "length")
    return going


class _Batch:
    """The rows that are still being written: cache, attention mask and positions, which shrink as rows finish."""

    def __init__(self, inputs: dict[str, Tensor]):
        self.mask_BL = inputs["attention_mask"]
        self.size = len(self.mask_BL)
        self.rows = list(range(self.size))
        self.cache = DynamicCache()
        self.offset_B1 = self.mask_BL.new_zeros((self.size, 1))

    def prefill(self, model: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        """Read prompts and images; the logits that follow."""
        positions_3BL, self.offset_B1 = _core(model).get_rope_index(
            inputs["input_ids"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
            image_grid_thw=inputs["image_grid_thw"],
            attention_mask=self.mask_BL,
        )
        text_BL = (self.mask_BL.cumsum(-1) - 1).clamp(min=0)
        return self._forward(model, torch.cat([text_BL[None], positions_3BL]), **inputs)

    def step(self, model: torch.nn.Module, tokens_B: Tensor, going: list[bool]) -> Tensor:
        """Append one token to each row; the logits that follow. Finished rows leave once they are a third."""
        if sum(going) <= len(going) * 2 / 3:
            tokens_B = tokens_B[self._keep(going)]
        text_B1 = self.mask_BL.sum(-1, keepdim=True)
        self.mask_BL = torch.cat([self.mask_BL, torch.ones_like(text_B1)], dim=-1)
        positions_4B1 = torch.stack([text_B1, *[text_B1 + self.offset_B1] * 3])
        return self._forward(model, positions_4B1, input_ids=tokens_B[:, None], attention_mask=self.mask_BL)

    def _keep(self, going: list[bool]) -> Tensor:
        kept_B = torch.tensor([index for index, goes in enumerate(going) if goes], device=self.mask_BL.device)
        self.rows = [row for row, goes in zip(self.rows, going, strict=True) if goes]
        self.cache.batch_select_indices(kept_B)
        self.mask_BL, self.offset_B1 = self.mask_BL[kept_B], self.offset_B1[kept_B]
        return kept_B

    def _forward(self, model: torch.nn.Module, positions_4BL: Tensor, **inputs: Tensor) -> Tensor:
        output = model(
            **inputs, position_ids=positions_4BL, past_key_values=self.cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[:, -1]


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each module's own mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _core(model: Any) -> Any:
    """The module that knows positions, below the language head and an adapter's wrapper."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base.model
