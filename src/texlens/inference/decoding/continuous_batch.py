"""`ContinuousBatch`: the reference decoding loop, for evaluation, reading and serving.

For a fixed batch it does what `model.generate` does (a test compares the two token for token). Besides, rows join and
leave while others run, rows that repeat themselves end, and each token's log-probability is kept without its logits.

Rows of one adapter are computed together; those of several take turns in a step.

Legend: B = rows of the batch, L = tokens so far, padded on the left, V = vocabulary.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from texlens.inference.adapter_switch import AdapterSwitch
from texlens.inference.decoding.cache_rows import concatenate_rows, new_cache, padded_rows, select_rows
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sample_tokens import sample_tokens
from texlens.inference.prompts import end_ids, model_inputs
from texlens.inputs.example import Example
from texlens.models.cache_argument import cache_argument
from texlens.models.processor import Processor

NOT_FINITE = "the model's logits are NaN or Inf for this row"


class ContinuousBatch:
    """A `DecodingBatch` on any model of transformers with a `DynamicCache`."""

    raw_patches = False

    def __init__(self, switch: AdapterSwitch, processor: Processor, end_tokens: frozenset[int] | None = None):
        """`end_tokens` end a row; those of the processor where None."""
        self._switch, self._processor = switch, processor
        self._end_ids = end_ids(processor) if end_tokens is None else end_tokens
        self._rows: dict[str | None, _AdapterRows] = {}

    @property
    def states(self) -> list[GenerationState]:
        """See `DecodingBatch.states`."""
        return [state for rows in self._rows.values() for state in rows.states]

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Example], states: Sequence[GenerationState]) -> None:
        """See `DecodingBatch.prefill`; the first token of each row is appended at once."""
        for adapter in dict.fromkeys(state.adapter for state in states):
            rows = self._rows.setdefault(adapter, _AdapterRows(self._switch.model, self._end_ids))
            chosen = [index for index, state in enumerate(states) if state.adapter == adapter]
            device = next(self._switch.model.parameters()).device
            inputs = model_inputs(self._processor, [prompts[index] for index in chosen], device)
            self._switch.activate(adapter)
            rows.prefill(inputs, [states[index] for index in chosen])

    @torch.no_grad()
    def step(self) -> None:
        """See `DecodingBatch.step`. Finished rows leave once they are a third of their adapter's rows."""
        for adapter, rows in self._rows.items():
            if rows.states:
                self._switch.activate(adapter)
                rows.step()


class _AdapterRows:
    """The rows of one adapter."""

    def __init__(self, model: torch.nn.Module, end_ids: frozenset[int]):
        self._model, self._end_ids = model, end_ids
        self.states: list[GenerationState] = []
        self._kv: KVState | None = None
        self._generators: dict[int, torch.Generator] = {}

    def prefill(self, inputs: dict[str, Tensor], states: Sequence[GenerationState]) -> None:
        kv, logits_BV = KVState.prefill(self._model, inputs)
        self._append_tokens(kv, states, logits_BV)
        self.evict_finished(tolerated=0)
        active, kv = _select_active(list(states), kv)
        if kv is not None:
            self._kv = kv if self._kv is None else self._kv.concatenate(kv)
            self.states = [*self.states, *active]

    def step(self) -> None:
        self.evict_finished(tolerated=len(self.states) // 3)
        if self._kv is not None:
            self._append_tokens(self._kv, self.states, self._kv.step(self._model))
            if not any(state.is_active for state in self.states):
                self.evict_finished(tolerated=0)

    def evict_finished(self, tolerated: int) -> None:
        """Remove finished rows if they are more than `tolerated`, or all."""
        finished = sum(not state.is_active for state in self.states)
        if self._kv is not None and finished and (finished > tolerated or finished == len(self.states)):
            self.states, self._kv = _select_active(self.states, self._kv)
            remaining = {id(state) for state in self.states}
            self._generators = {key: value for key, value in self._generators.items() if key in remaining}

    def _append_tokens(self, kv: "KVState", states: Sequence[GenerationState], logits_BV: Tensor) -> None:
        kv.tokens_B, log_probabilities, alternatives = sample_tokens(
            logits_BV,
            [state.sampling for state in states],
            [self._generator(state, logits_BV.device) for state in states],
            [state.tokens for state in states],
            [state.grammar if state.is_active else None for state in states],
        )
        rows = zip(states, kv.tokens_B.tolist(), log_probabilities, alternatives, strict=True)
        for state, token, log_probability, others in rows:
            if not state.is_active:
                continue
            if math.isnan(log_probability):
                state.fail(NOT_FINITE)
            else:
                state.append_token(token, log_probability, self._end_ids, others)

    def _generator(self, state: GenerationState, device: torch.device) -> torch.Generator | None:
        if state.sampling.is_greedy:
            return None
        if id(state) not in self._generators:
            self._generators[id(state)] = torch.Generator(device).manual_seed(state.seed)
        return self._generators[id(state)]


class KVState:
    """Cache, attention mask, rope offsets and newest tokens of the rows of a batch."""

    def __init__(self, cache: DynamicCache, mask_BL: Tensor, offset_B1: Tensor):
        self.cache = cache
        self.mask_BL = mask_BL
        self.offset_B1 = offset_B1
        self.tokens_B = mask_BL.new_zeros(len(mask_BL))

    @classmethod
    def prefill(cls, model: torch.nn.Module, inputs: dict[str, Tensor]) -> tuple["KVState", Tensor]:
        """The state after the prompts, and the logits [B, V] of the tokens that follow."""
        mask_BL = inputs["attention_mask"]
        positions_3BL, offset_B1 = _core(model).get_rope_index(
            inputs["input_ids"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
            image_grid_thw=inputs["image_grid_thw"],
            attention_mask=mask_BL,
        )
        text_BL = (mask_BL.cumsum(-1) - 1).clamp(min=0)
        state = cls(new_cache(_core(model).config.text_config), mask_BL, offset_B1)
        return state, state._forward(model, torch.cat([text_BL[None], positions_3BL]), **inputs)

    def step(self, model: torch.nn.Module) -> Tensor:
        """Feed the newest token of each row; the logits [B, V] of the tokens that follow."""
        text_B1 = self.mask_BL.sum(-1, keepdim=True)
        self.mask_BL = torch.cat([self.mask_BL, torch.ones_like(text_B1)], dim=-1)
        positions_4B1 = torch.stack([text_B1, *[text_B1 + self.offset_B1] * 3])
        return self._forward(model, positions_4B1, input_ids=self.tokens_B[:, None], attention_mask=self.mask_BL)

    def select(self, rows: Sequence[int]) -> "KVState":
        """Keep some of the rows, and no more padding than they need."""
        rows_B = torch.tensor(rows, device=self.mask_BL.device)
        self.offset_B1, self.tokens_B = self.offset_B1[rows_B], self.tokens_B[rows_B]
        mask_BL = self.mask_BL[rows_B]
        spare = int(mask_BL.shape[1] - mask_BL.sum(-1).max())
        self.mask_BL = mask_BL[:, spare:]
        select_rows(self.cache, rows_B, spare)
        return self

    def concatenate(self, other: "KVState") -> "KVState":
        """The rows of both; the shorter side is padded on the left."""
        length = max(self.mask_BL.shape[1], other.mask_BL.shape[1])
        concatenate_rows(self.cache, other.cache, length)
        self.mask_BL = padded_rows(self.mask_BL, other.mask_BL, length, -1)
        self.offset_B1 = torch.cat([self.offset_B1, other.offset_B1])
        self.tokens_B = torch.cat([self.tokens_B, other.tokens_B])
        return self

    def _forward(self, model: torch.nn.Module, positions_4BL: Tensor, **inputs: Any) -> Tensor:
        inputs[cache_argument(model)] = self.cache
        output = model(**inputs, position_ids=positions_4BL, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1]


def _select_active(states: list[GenerationState], kv: KVState) -> tuple[list[GenerationState], KVState | None]:
    rows = [row for row, state in enumerate(states) if state.is_active]
    if len(rows) == len(states):
        return states, kv
    return [states[row] for row in rows], kv.select(rows) if rows else None


def _core(model: Any) -> Any:
    """The module that computes positions, below the language head and an adapter's wrapper."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base.model
