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
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine_batch import adapter_names, normalized_prompt, open_engine


def states_with(processor, samples, sampling=None, **options):
    detokenizers = [IncrementalDetokenizer(TokenBytes(processor.tokenizer)) for _ in samples]
    return [
        GenerationState(sampling or Sampling(6 + row), detokenizer=detokenizer, **options)
        for row, detokenizer in enumerate(detokenizers)
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


@pytest.mark.parametrize("sampling", [Sampling(6, repetition_penalty=1.3), Sampling(6, top_logprobs=2)])
def test_sampling_of_every_kind_equals_the_reference(sampling, samples):
    ours, expected = both(*tiny_model(), samples, sampling=sampling)

    assert [state.tokens for state in ours] == [state.tokens for state in expected]
    for state, reference in zip(ours, expected, strict=True):
        tokens = [[token for token, _ in others] for others in state.alternatives]
        assert tokens == [[token for token, _ in others] for others in reference.alternatives]


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
