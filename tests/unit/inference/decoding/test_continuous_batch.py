"""The reference decoding loop against `model.generate`."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from texlens.inference.adapter_switch import UNCHANGED, AdapterSwitch
from texlens.inference.decoders import decode
from texlens.inference.decoding.continuous_batch import NOT_FINITE, ContinuousBatch
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.prompts import model_inputs, prompt_example
from texlens.inputs.chat_template import PromptStyle

NEVER = frozenset[int]()


def prompts_of(processor, samples):
    return [prompt_example(processor, sample, PromptStyle("Read this.")) for sample in samples]


def generated(model, processor, samples, *, max_new_tokens, end_ids, temperature=None, seed=0, repetition_guard=True):
    sampling = Sampling(max_new_tokens, temperature, repetition_guard=repetition_guard)
    states = [GenerationState(sampling, UNCHANGED, seed) for _ in samples]
    decode(ContinuousBatch(AdapterSwitch(model), processor, end_ids), prompts_of(processor, samples), states)
    return states


def stock(model, inputs, end_ids, max_new_tokens=12):
    """What transformers' own greedy search answers, cut after the token that ends a row, with its log-probabilities."""
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=sorted(end_ids) or None, pad_token_id=256
    )
    output = model.generate(**inputs, generation_config=settings, output_scores=True, return_dict_in_generate=True)
    new_BL = output.sequences[:, inputs["input_ids"].shape[1] :]
    steps_BLV = torch.stack(output.scores, dim=1).log_softmax(-1)
    rows = []
    for tokens, steps in zip(new_BL.tolist(), steps_BLV, strict=True):
        length = next((index + 1 for index, token in enumerate(tokens) if token in end_ids), len(tokens))
        rows.append((tokens[:length], sum(steps[index, tokens[index]].item() for index in range(length))))
    return rows


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_tokens_equal_those_of_stock_generation(family, samples):
    model, processor = tiny_model(family)
    inputs = model_inputs(processor, prompts_of(processor, samples), torch.device("cpu"))
    free = stock(model, inputs, NEVER)
    end_ids = frozenset({free[0][0][3], free[1][0][6]})

    states = generated(model, processor, samples, max_new_tokens=12, end_ids=end_ids)
    expected = stock(model, inputs, end_ids)

    assert [state.tokens for state in states] == [tokens for tokens, _ in expected]
    assert [state.log_probability for state in states] == pytest.approx([total for _, total in expected], abs=1e-4)
    assert len({tuple(state.tokens) for state in states}) > 1


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_batch_of_four_gives_the_tokens_of_single_rows(family, samples):
    model, processor = tiny_model(family, seed=1)
    options = {"max_new_tokens": 10, "end_ids": NEVER}
    together = generated(model, processor, samples, **options)
    single = [generated(model, processor, [sample], **options)[0] for sample in samples]

    assert [state.tokens for state in together] == [state.tokens for state in single]


def test_rows_that_end_early_do_not_change_the_others(samples):
    model, processor = tiny_model()
    free = generated(model, processor, samples, max_new_tokens=16, end_ids=NEVER)
    first_of_two = frozenset({free[0].tokens[0], free[1].tokens[0]})

    cut = generated(model, processor, samples, max_new_tokens=16, end_ids=first_of_two)

    for complete, row in zip(free, cut, strict=True):
        end = next((index for index, token in enumerate(complete.tokens) if token in first_of_two), 15)
        assert row.tokens == complete.tokens[: end + 1]


def test_stop_reasons_are_distinguished(samples):
    model, processor = tiny_model()
    (free,) = generated(model, processor, samples[:1], max_new_tokens=4, end_ids=NEVER)
    (ended,) = generated(model, processor, samples[:1], max_new_tokens=4, end_ids=frozenset({free.tokens[0]}))

    assert (free.stop, len(free.tokens)) == ("length", 4)
    assert (ended.stop, ended.tokens) == ("end", free.tokens[:1])


def test_sampled_tokens_of_a_row_depend_on_its_seed_alone(samples):
    model, processor = tiny_model()
    options = {"max_new_tokens": 8, "end_ids": NEVER, "temperature": 1.0}

    def sampled(rows, seed):
        return [state.tokens for state in generated(model, processor, rows, seed=seed, **options)]

    assert sampled(samples, 1) == sampled(samples, 1)
    assert sampled(samples, 1) != sampled(samples, 2)
    assert sampled(samples, 1)[0] == sampled(samples[:1], 1)[0]


def test_repeating_row_is_ended(samples):
    model, processor = tiny_model()
    torch.nn.init.zeros_(model.model.language_model.norm.weight)

    options = {"max_new_tokens": 80, "end_ids": NEVER}
    guarded = generated(model, processor, samples[:2], **options)
    unguarded = generated(model, processor, samples[:2], repetition_guard=False, **options)

    assert [(state.stop, len(state.tokens)) for state in guarded] == [("loop", 48), ("loop", 48)]
    assert [(state.stop, len(state.tokens)) for state in unguarded] == [("length", 80), ("length", 80)]


def test_row_with_nan_logits_fails_alone(samples):
    model, processor = tiny_model()
    expected = generated(model, processor, samples[:3], max_new_tokens=5, end_ids=NEVER)
    second = torch.tensor([1])
    hook = model.lm_head.register_forward_hook(
        lambda _, __, logits: logits.index_fill(0, second, torch.nan) if len(logits) == 3 else logits
    )
    states = [GenerationState(Sampling(5, temperature), UNCHANGED) for temperature in (None, 1.0, None)]
    try:
        decode(ContinuousBatch(AdapterSwitch(model), processor, NEVER), prompts_of(processor, samples[:3]), states)
    finally:
        hook.remove()

    assert (states[1].stop, states[1].error) == ("failed", NOT_FINITE)
    assert states[0].tokens[0] == expected[0].tokens[0]
    assert [len(states[row].tokens) for row in (0, 2)] == [5, 5]
    assert not any(state.is_active for state in states)


def test_rows_of_several_adapters_share_a_batch(samples):
    model, processor = tiny_model()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"], r=4, init_lora_weights=False))
    switch = AdapterSwitch(adapted)

    def tokens(adapters):
        states = [GenerationState(Sampling(8), adapter) for adapter in adapters]
        prompts = prompts_of(processor, [samples[0]] * len(adapters))
        decode(ContinuousBatch(switch, processor, NEVER), prompts, states)
        return [state.tokens for state in states]

    (base,), (adapter,) = tokens([None]), tokens(["default"])
    assert base != adapter
    assert tokens([None, "default", None]) == [base, adapter, base]
