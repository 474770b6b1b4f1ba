"""Hybrid state in the engine: rows that join, leave and share a pack, compared with each row by the stock model."""

import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.inference.engine.cache import PAGE_SIZE, PagedCache
from texlens.inference.engine.layers.decoder import PromptRows, StepRows, TextDecoder
from texlens.inference.engine.layers.hybrid import new_states, row_mixer, state_shape
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.decode import reference

SLOTS = 3


class Rows:
    """A decoder of the tiny model with a page for each slot."""

    def __init__(self, family: str = "qwen3_5"):
        self.model, _ = tiny_model(family)
        self.decoder = TextDecoder(self.model, [None], reference)
        layers, keys, width = self.decoder.cache_shape
        self.cache = PagedCache(
            layers, keys, width, pages=SLOTS, dtype=torch.float32, device=torch.device("cpu"),
            states=self.decoder.new_states(SLOTS),
        )  # fmt: skip
        self.lengths = [0] * SLOTS

    def join(self, prompts: dict[int, list[int]], padding: int = 0) -> torch.Tensor:
        """Logits after prompts by slot, in one pack with padding at its end."""
        lengths = [len(prompt) for prompt in prompts.values()]
        ids = torch.tensor([token for prompt in prompts.values() for token in prompt] + [7] * padding)
        ends = torch.tensor([0, *lengths, padding]).cumsum(0).int()
        steps = [torch.arange(length) for length in lengths]
        at = torch.cat([(slot + 1) * PAGE_SIZE + step for slot, step in zip(prompts, steps, strict=True)])
        none = torch.zeros(0, dtype=torch.long)
        rows = PromptRows(
            ids,
            torch.cat([*steps, torch.zeros(padding, dtype=torch.long)]).expand(3, -1),
            make_segments(ends, max(*lengths, padding)),
            torch.cat([at, torch.zeros(padding, dtype=torch.long)]),
            torch.zeros(len(ids), dtype=torch.int32),
            none,
            torch.zeros(0, 32),
            [],
            ends[1 : len(prompts) + 1].long() - 1,
            torch.tensor(list(prompts)),
        )
        for slot, length in zip(prompts, lengths, strict=True):
            self.lengths[slot] = length
        return self.decoder.prefill(rows, self.cache)

    def step(self, tokens: dict[int, int]) -> torch.Tensor:
        slots = torch.tensor(list(tokens))
        lengths = torch.tensor([self.lengths[slot] for slot in tokens], dtype=torch.int32)
        pages = (slots[:, None] + 1).int()
        rows = StepRows(torch.tensor(list(tokens.values())), lengths, lengths, pages, torch.zeros_like(lengths), slots)
        for slot in tokens:
            self.lengths[slot] += 1
        return self.decoder.step(rows, self.cache)

    def expected(self, tokens: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return self.model(input_ids=torch.tensor([tokens])).logits[0, -1]


def close(actual: torch.Tensor, expected: list[torch.Tensor]) -> None:
    torch.testing.assert_close(actual, torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_rows_of_a_pack_that_go_on_step_by_step_equal_each_row_alone():
    rows = Rows()
    close(rows.join({0: [5, 6, 7, 8, 9], 2: [10]}, padding=3), [rows.expected([5, 6, 7, 8, 9]), rows.expected([10])])
    close(rows.step({0: 11, 2: 12}), [rows.expected([5, 6, 7, 8, 9, 11]), rows.expected([10, 12])])


def test_a_row_that_joins_a_used_slot_begins_with_an_empty_state_and_the_others_go_on():
    rows = Rows("qwen3_5_moe")
    rows.join({0: [5, 6, 7], 1: [8, 9, 10, 11]})
    rows.step({0: 12, 1: 13})
    close(rows.join({0: [14, 15]}), [rows.expected([14, 15])])
    close(rows.step({1: 16, 0: 17}), [rows.expected([8, 9, 10, 11, 13, 16]), rows.expected([14, 15, 17])])


def test_padding_leaves_every_slot_s_state_as_it_is():
    rows = Rows()
    rows.join({0: [5, 6]})
    before = rows.cache.states.states_LSHXY.clone()
    rows.join({1: [5]}, padding=9)
    assert torch.equal(rows.cache.states.states_LSHXY[:, 0], before[:, 0])
    assert torch.equal(rows.cache.states.states_LSHXY[:, 2:], before[:, 2:])


def test_plain_models_have_no_states_and_no_mixers():
    model, _ = tiny_model("qwen3_vl")
    text = model.model.language_model
    assert state_shape(text.config) is None
    assert new_states(text.config, 2, torch.float32, torch.device("cpu")) is None
    assert row_mixer(text.layers[0], text.config, 0) is None
