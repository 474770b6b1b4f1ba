"""The decoding engine compared with `model.generate`, row by row, in float32."""

from dataclasses import replace

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.inference.engine.conftest import engine_of, prompts_of, states_of, stock
from tests.unit.inference.engine.decoded import assert_equal


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_rows_that_join_while_others_run_equal_the_stock_generation(family, samples):
    model, processor = tiny_model(family, seed=1)
    prompts, states = prompts_of(processor, samples), states_of(len(samples))
    for number, state in enumerate(states):
        state.sampling = states_of(1, max_new_tokens=5 + 3 * number)[0].sampling

    engine = engine_of(model, processor, slots=3)
    engine.add(prompts[:2], states[:2])
    for _ in range(3):
        engine.step()
    engine.add(prompts[2:], states[2:])
    engine.finish()

    expected = [
        stock(model, processor, sample, max_new_tokens=state.sampling.max_new_tokens)
        for sample, state in zip(samples, states, strict=True)
    ]
    assert_equal(states, expected)


def test_the_next_rows_take_the_slots_of_rows_whose_last_tokens_are_not_read_yet(samples, monkeypatch):
    model, processor = tiny_model(seed=1)
    states, prompts = states_of(len(samples), max_new_tokens=6), prompts_of(processor, samples)
    engine = engine_of(model, processor, slots=2)
    monkeypatch.setattr(engine, "lag", 1)
    engine.add(prompts, states)
    for _ in range(5):
        engine.step()

    assert [len(state.tokens) for state in states[:2]] == [5, 5]
    assert engine.running == 0
    assert engine.states == states
    engine.step()
    assert engine.running == 2
    engine.finish()
    assert_equal(states, [stock(model, processor, sample, max_new_tokens=6) for sample in samples])
    assert len(engine._free_slots) == 2
    assert engine._cache.free_pages == engine.plan.pages


def test_rows_end_with_the_token_that_ends_a_turn(samples):
    model, processor = tiny_model()
    free = [stock(model, processor, sample)[0] for sample in samples]
    end_ids = frozenset({free[0][3], free[1][6]})
    states = states_of(len(samples))

    engine = engine_of(model, processor, end_ids=end_ids)
    engine.add(prompts_of(processor, samples), states)
    engine.finish()

    assert_equal(states, [stock(model, processor, sample, end_ids=end_ids) for sample in samples])
    assert {state.stop for state in states} <= {"end", "length"}
    assert states[0].stop == "end"


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_5"])
def test_answers_to_one_prompt_equal_those_to_prompts_of_their_own(family, samples, monkeypatch):
    model, processor = tiny_model(family, seed=1)
    first, second = prompts_of(processor, samples[:2])
    rows = [first, first, second, first, second]
    read = []
    engines = [engine_of(model, processor, slots=5) for _ in range(2)]
    for engine in engines:
        prefill = engine._decoder.prefill
        monkeypatch.setattr(
            engine._decoder,
            "prefill",
            lambda rows, cache, prefill=prefill: read.append(len(rows.token_ids)) or prefill(rows, cache),
        )
    shared, separate = (drawing_states(len(rows)) for _ in range(2))

    engines[0].add(rows, shared)
    engines[0].finish()
    engines[1].add([replace(row) for row in rows], separate)
    engines[1].finish()

    assert_equal(shared, [(state.tokens, state.log_probabilities) for state in separate])
    assert read == [len(first) + len(second), 3 * len(first) + 2 * len(second)]
    assert shared[0].tokens != shared[1].tokens


def drawing_states(count):
    states = states_of(count, temperature=1.0)
    for number, state in enumerate(states):
        state.seed = number
    return states
