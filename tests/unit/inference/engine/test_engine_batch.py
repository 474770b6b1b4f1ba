"""The engine behind the Protocol of decoding batches, compared with the reference."""

import pytest
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.inference.engine.conftest import prompts_of
from texlens.inference.adapter_switch import UNCHANGED, AdapterSwitch
from texlens.inference.decoders import decode
from texlens.inference.decoding.continuous_batch import ContinuousBatch
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.grammar import row_grammar
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine import DecodingEngine
from texlens.inference.engine.engine_batch import adapter_names, cpu_engine, normalized_prompt, open_engine
from texlens.inference.prompts import end_ids


def states_with(processor, samples, sampling=None, **options):
    detokenizers = [IncrementalDetokenizer(TokenBytes(processor.tokenizer)) for _ in samples]
    samplings = [sampling or Sampling(6 + row) for row in range(len(samples))]
    return [
        GenerationState(
            of_row,
            detokenizer=detokenizer,
            grammar=row_grammar(processor.tokenizer, end_ids(processor), of_row),
            **options,
        )
        for of_row, detokenizer in zip(samplings, detokenizers, strict=True)
    ]


def both(model, processor, samples, **options):
    switch = AdapterSwitch(model)
    prompts = prompts_of(processor, samples)
    batch = open_engine(switch, processor, [options.get("adapter")])
    ours, expected = (states_with(processor, samples, **options) for _ in range(2))
    decode(batch, prompts, ours)
    decode(ContinuousBatch(switch, processor), [normalized_prompt(prompt, processor) for prompt in prompts], expected)
    return ours, expected


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_tokens_texts_and_stops_equal_the_reference(family, samples):
    ours, expected = both(*tiny_model(family), samples)

    assert [state.tokens for state in ours] == [state.tokens for state in expected]
    assert [state.token_texts for state in ours] == [state.token_texts for state in expected]
    assert [state.stop for state in ours] == [state.stop for state in expected]
    for state, reference in zip(ours, expected, strict=True):
        assert state.log_probabilities == pytest.approx(reference.log_probabilities, abs=1e-5)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(9, repetition_penalty=1.3),
        Sampling(9, repetition_penalty=0.5, top_logprobs=2),
        Sampling(6, top_logprobs=2),
        Sampling(12, grammar=True),
        Sampling(30, grammar=True),
        Sampling(14, grammar=True, repetition_penalty=1.4, top_logprobs=3),
        Sampling(8, temperature=0.7, top_k=1),
        Sampling(8, temperature=1.5, min_p=1.0, grammar=True),
    ],
)
@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_vl"])
def test_sampling_of_every_kind_equals_the_reference(sampling, family, samples):
    ours, expected = both(*tiny_model(family), samples, sampling=sampling)

    assert [state.tokens for state in ours] == [state.tokens for state in expected]
    assert [state.stop for state in ours] == [state.stop for state in expected]
    for state, reference in zip(ours, expected, strict=True):
        assert state.log_probabilities == pytest.approx(reference.log_probabilities, abs=1e-5)
        tokens = [[token for token, _ in others] for others in state.alternatives]
        assert tokens == [[token for token, _ in others] for others in reference.alternatives]


def test_rows_with_a_grammar_touch_no_other_row(samples):
    """One row refuses tokens all the time, its neighbors are decoded as alone."""
    model, processor = tiny_model()
    batch, prompts = open_engine(AdapterSwitch(model), processor, [None]), prompts_of(processor, samples)
    assert batch is not None
    kinds = [
        Sampling(10),
        Sampling(10, grammar=True),
        Sampling(10, temperature=0.9),
        Sampling(10, repetition_penalty=2),
    ]
    together = [state for kind in kinds for state in states_with(processor, samples[:1], kind)]
    decode(batch, [prompts[0]] * 4, together)
    separately = [state for kind in kinds for state in states_with(processor, samples[:1], kind)]
    for state in separately:
        decode(batch, prompts[:1], [state])

    assert [state.tokens for state in together] == [state.tokens for state in separately]
    assert len({tuple(state.tokens) for state in together}) > 2


def test_refused_tokens_are_replaced_while_later_steps_are_under_way(samples, monkeypatch):
    """As on a GPU, where the host reads a step's tokens after the next step was launched."""
    model, processor = tiny_model()
    prompts, sampling = prompts_of(processor, samples), Sampling(20, grammar=True)
    batch = open_engine(AdapterSwitch(model), processor, [None])
    assert batch is not None
    expected, late = states_with(processor, samples, sampling), states_with(processor, samples, sampling)
    decode(batch, prompts, expected)
    monkeypatch.setattr(batch.engine, "lag", 1)
    decode(batch, prompts, late)

    assert [state.tokens for state in late] == [state.tokens for state in expected]
    for state, reference in zip(late, expected, strict=True):
        assert state.log_probabilities == pytest.approx(reference.log_probabilities, abs=1e-5)


def test_rows_with_a_grammar_are_read_by_the_reference_where_steps_cant_be_undone(samples, monkeypatch):
    model, processor = tiny_model()
    expected, _ = both(model, processor, samples, sampling=Sampling(9, grammar=True))
    monkeypatch.setattr(DecodingEngine, "can_rewind", False)
    ours, _ = both(model, processor, samples, sampling=Sampling(9, grammar=True))

    assert [state.tokens for state in ours] == [state.tokens for state in expected]


def test_a_stop_string_ends_its_row_alone(samples):
    model, processor = tiny_model()
    free, _ = both(model, processor, samples, sampling=Sampling(12))
    text = "".join(free[0].token_texts)
    stop = text[len(text) // 2 :][:2]
    batch, prompts = open_engine(AdapterSwitch(model), processor, [None]), prompts_of(processor, samples)
    assert batch is not None
    states = states_with(processor, samples, Sampling(12))
    states[0].detokenizer = IncrementalDetokenizer(TokenBytes(processor.tokenizer), [stop])
    decode(batch, prompts, states)

    assert states[0].stop == "stop"
    assert "".join(states[0].token_texts) == text[: text.index(stop)]
    assert [state.tokens for state in states[1:]] == [state.tokens for state in free[1:]]


def test_a_model_in_training_is_read_with_its_active_adapter(samples):
    model, processor = tiny_model()
    model = get_peft_model(model, LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|down_proj)"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.2)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    ours, expected = both(model, processor, samples, adapter=UNCHANGED)

    assert adapter_names(model, [UNCHANGED]) == ["default"]
    assert [state.tokens for state in ours] == [state.tokens for state in expected]
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == trained


def test_the_engine_is_kept_with_the_model(samples):
    model, processor = tiny_model()
    switch = AdapterSwitch(model)

    first = open_engine(switch, processor, [None])

    assert open_engine(switch, processor, [None]) is first
    assert open_engine(switch, processor, [UNCHANGED]) is not first


def test_a_row_that_is_finished_from_outside_leaves(samples):
    model, processor = tiny_model()
    batch = open_engine(AdapterSwitch(model), processor, [None])
    states = [GenerationState(Sampling(9, repetition_guard=False)) for _ in samples]
    batch.prefill(prompts_of(processor, samples), states)
    batch.step()
    states[1].finish("length")
    while batch.states:
        batch.step()

    assert len(states[1].tokens) <= 2
    assert batch.engine.running == 0
    assert not batch.engine.has_work


@pytest.mark.parametrize(
    ("rows", "adapter", "sampling", "is_taken"),
    [
        (32, None, Sampling(9), True),
        (31, None, Sampling(9), False),
        (32, None, Sampling(9, 0.7), False),
        (32, UNCHANGED, Sampling(9), False),
    ],
)
def test_on_a_cpu_the_engine_reads_many_rows_of_a_model_that_does_not_change(rows, adapter, sampling, is_taken):
    model, processor = tiny_model("qwen3_vl")
    batch = cpu_engine(AdapterSwitch(model), processor, adapter, rows=rows, sampling=sampling)
    assert (batch is not None) == is_taken


def test_on_a_cpu_large_models_and_16_bits_are_left_to_the_reference(monkeypatch):
    model, processor = tiny_model("qwen3_vl")
    half = AdapterSwitch(tiny_model("qwen3_vl")[0].bfloat16())
    options = {"rows": 100, "sampling": Sampling(9)}
    monkeypatch.setattr("texlens.inference.engine.engine_batch.CPU_MOST_PARAMETERS", 1000)

    assert cpu_engine(half, processor, None, **options) is None
    assert cpu_engine(AdapterSwitch(model), processor, None, **options) is None
