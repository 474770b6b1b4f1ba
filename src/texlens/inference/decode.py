"""Prompts to tokens with a key-value cache: the inner loop of generation, for evaluation, reading and serving alike.

It does what `model.generate` does for a batch (a test compares the two token for token), and besides lets rows join and
leave while others run, stops rows that loop, and notes each token's log-probability without keeping logits.

Legend: B = rows in the batch, L = tokens so far with padding on the left, V = vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from texlens.inference.detokenize import TextStream
from texlens.inference.repetition import is_looping
from texlens.inference.sampling import Sampling, pick
from texlens.metrics.prediction import StopReason


@dataclass
class Decoded:
    """What one row is answered with: tokens (the one that ended the turn included) and their natural log-probabilities.

    `alternatives` holds, for each token, the likeliest ones with theirs, as many as the row's sampling asks for.
    `text` puts the tokens together where it is given, and finds stop strings.
    """

    sampling: Sampling = field(default_factory=Sampling)
    generator: torch.Generator | None = None
    text: TextStream | None = None
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    alternatives: list[list[tuple[int, float]]] = field(default_factory=list)
    fresh: str = ""
    stop: StopReason = "length"
    going: bool = True

    @property
    def log_probability(self) -> float:
        return sum(self.log_probabilities)

    def take(self, token: int, log_probability: float, end_ids: frozenset[int]) -> None:
        """Append a token and see whether the row is done; `fresh` is then the text that it made sure."""
        self.tokens.append(token)
        self.log_probabilities.append(log_probability)
        self.fresh = self.text.push(token) if self.text is not None else ""
        if token in end_ids:
            self.finish("end")
        elif self.text is not None and self.text.stopped:
            self.finish("stop")
        elif self.sampling.repetition_guard and is_looping(self.tokens):
            self.finish("loop")
        elif len(self.tokens) >= self.sampling.max_new_tokens:
            self.finish("length")

    def finish(self, stop: StopReason) -> None:
        """No token will follow; the row leaves its batch."""
        self.stop, self.going = stop, False
        if self.text is not None:
            self.fresh += self.text.finish()


def decode_batch(
    model: torch.nn.Module,
    inputs: dict[str, Tensor],
    *,
    max_new_tokens: int,
    end_ids: frozenset[int],
    temperature: float | None = None,
    generator: torch.Generator | None = None,
    repetition_guard: bool = True,
    texts: Sequence[TextStream] | None = None,
    on_step: Callable[[Sequence[Decoded]], None] | None = None,
) -> list[Decoded]:
    """What the model answers to each row, in order.

    Args:
        inputs: input_ids_BL, attention_mask_BL, mm_token_type_ids_BL padded on the left; pixel_values, image_grid_thw.
        end_ids: tokens that end a turn.
        temperature: draw from the distribution with `generator`; the likeliest token where None.
        texts: of each row, what puts its text together.
        on_step: called with all rows after each token.
    """
    sampling = Sampling(max_new_tokens, temperature, repetition_guard=repetition_guard)
    count = len(inputs["input_ids"])
    rows = [Decoded(sampling, generator, text) for text in texts or [None] * count]
    batch = LiveBatch(model, end_ids)
    batch.join(inputs, rows)
    while True:
        if on_step is not None:
            on_step(rows)
        if not batch.rows:
            return rows
        batch.step()


class LiveBatch:
    """The rows that are being written: cache, attention mask and positions, which grow and shrink as rows come and go.

    Not for several threads at once.
    """

    def __init__(self, model: torch.nn.Module, end_ids: frozenset[int]):
        self.model = model
        self.end_ids = end_ids
        self.rows: list[Decoded] = []
        """In the batch; finished ones leave at the next step or when others join."""
        self._part: _Part | None = None

    @torch.no_grad()
    def join(self, inputs: dict[str, Tensor], rows: Sequence[Decoded]) -> None:
        """Read prompts and images, write the first token of each row, and go on with those that are not done."""
        part, logits_BV = _Part.prefilled(self.model, inputs)
        self._record(part, rows, logits_BV)
        self._sweep(most=0)
        rows, part = _going(list(rows), part)
        if part is not None:
            self._part = part if self._part is None else self._part.beside(part)
            self.rows = [*self.rows, *rows]

    @torch.no_grad()
    def step(self) -> None:
        """Write one more token of each row. Finished rows leave once they are a third."""
        self._sweep(most=len(self.rows) // 3)
        if self._part is not None:
            self._record(self._part, self.rows, self._part.step(self.model))
            if not any(row.going for row in self.rows):
                self._sweep(most=0)

    def _record(self, part: "_Part", rows: Sequence[Decoded], logits_BV: Tensor) -> None:
        part.tokens_B, log_probabilities, alternatives = pick(
            logits_BV, [row.sampling for row in rows], [row.generator for row in rows]
        )
        for row, token, log_probability, others in zip(
            rows, part.tokens_B.tolist(), log_probabilities, alternatives, strict=True
        ):
            row.fresh = ""
            if row.going:
                row.alternatives.append(others)
                row.take(token, log_probability, self.end_ids)

    def _sweep(self, most: int) -> None:
        """Lets finished rows leave if they are more than `most`, or all."""
        done = sum(not row.going for row in self.rows)
        if self._part is not None and done and (done > most or done == len(self.rows)):
            self.rows, self._part = _going(self.rows, self._part)


class _Part:
    """Rows side by side: their cache, mask, rope offsets, and the tokens that the next step reads."""

    def __init__(self, cache: DynamicCache, mask_BL: Tensor, offset_B1: Tensor):
        self.cache = cache
        self.mask_BL = mask_BL
        self.offset_B1 = offset_B1
        self.tokens_B = mask_BL.new_zeros(len(mask_BL))

    @classmethod
    def prefilled(cls, model: torch.nn.Module, inputs: dict[str, Tensor]) -> tuple["_Part", Tensor]:
        """Prompts and images read, and the logits that follow."""
        mask_BL = inputs["attention_mask"]
        positions_3BL, offset_B1 = _core(model).get_rope_index(
            inputs["input_ids"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
            image_grid_thw=inputs["image_grid_thw"],
            attention_mask=mask_BL,
        )
        text_BL = (mask_BL.cumsum(-1) - 1).clamp(min=0)
        part = cls(DynamicCache(), mask_BL, offset_B1)
        return part, part._forward(model, torch.cat([text_BL[None], positions_3BL]), **inputs)

    def step(self, model: torch.nn.Module) -> Tensor:
        """Append the last token of each row; the logits that follow."""
        text_B1 = self.mask_BL.sum(-1, keepdim=True)
        self.mask_BL = torch.cat([self.mask_BL, torch.ones_like(text_B1)], dim=-1)
        positions_4B1 = torch.stack([text_B1, *[text_B1 + self.offset_B1] * 3])
        return self._forward(model, positions_4B1, input_ids=self.tokens_B[:, None], attention_mask=self.mask_BL)

    def keep(self, places: Sequence[int]) -> "_Part":
        """Some of the rows, and no more padding than they need."""
        kept_B = torch.tensor(places, device=self.mask_BL.device)
        self.cache.batch_select_indices(kept_B)
        self.offset_B1, self.tokens_B = self.offset_B1[kept_B], self.tokens_B[kept_B]
        mask_BL = self.mask_BL[kept_B]
        spare = int(mask_BL.shape[1] - mask_BL.sum(-1).max())
        self.mask_BL = mask_BL[:, spare:]
        for layer in self._layers if spare else ():
            layer.keys, layer.values = layer.keys[:, :, spare:], layer.values[:, :, spare:]
        return self

    def beside(self, other: "_Part") -> "_Part":
        """Both, the shorter one padded on the left."""
        longest = max(self.mask_BL.shape[1], other.mask_BL.shape[1])
        for layer, more in zip(self._layers, other._layers, strict=True):
            layer.keys = _stacked(layer.keys, more.keys, longest, -2)
            layer.values = _stacked(layer.values, more.values, longest, -2)
        self.mask_BL = _stacked(self.mask_BL, other.mask_BL, longest, -1)
        self.offset_B1 = torch.cat([self.offset_B1, other.offset_B1])
        self.tokens_B = torch.cat([self.tokens_B, other.tokens_B])
        return self

    @property
    def _layers(self) -> list[Any]:
        """Layers with `keys` and `values`, [B, heads, L, width]."""
        return self.cache.layers

    def _forward(self, model: torch.nn.Module, positions_4BL: Tensor, **inputs: Tensor) -> Tensor:
        output = model(
            **inputs, position_ids=positions_4BL, past_key_values=self.cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[:, -1]


def _going(rows: list[Decoded], part: _Part) -> tuple[list[Decoded], _Part | None]:
    places = [place for place, row in enumerate(rows) if row.going]
    if len(places) == len(rows):
        return rows, part
    return [rows[place] for place in places], part.keep(places) if places else None


def _stacked(first: Tensor, second: Tensor, longest: int, dim: int) -> Tensor:
    """One under the other, padded with zeros on the left of `dim` (the last or the last but one) to `longest`."""
    after = [0, 0] * (-1 - dim)
    return torch.cat([pad(part, (*after, longest - part.shape[dim], 0)) for part in (first, second)])


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
