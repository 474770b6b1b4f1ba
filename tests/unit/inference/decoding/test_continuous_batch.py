"""The reference decoding loop against `model.generate`."""

import pytest
import torch
from transformers import GenerationConfig

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from texlens.inference.decoders import decode
from texlens.inference.decoding.continuous_batch import NOT_FINITE, ContinuousBatch
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.evaluation_mode import evaluation_mode
from texlens.inference.prompts import prompt_example
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.padded_collator import Collator

NEVER = frozenset[int]()


def inputs_of(processor, samples):
    prompts = [prompt_example(processor, sample, PromptStyle("Read this.")) for sample in samples]
    inputs = Collator(processor.pad_token_id, processor.image_token_id, left=True)(prompts)
    inputs.pop("labels")
    return inputs


def decode_batch(model, inputs, *, max_new_tokens, end_ids, temperature=None, generator=None, repetition_guard=True):
    sampling = Sampling(max_new_tokens, temperature, repetition_guard=repetition_guard)
    states = [GenerationState(sampling, generator) for _ in inputs["input_ids"]]
    decode(ContinuousBatch(model, end_ids), inputs, states)
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
        length = next((place + 1 for place, token in enumerate(tokens) if token in end_ids), len(tokens))
        rows.append((tokens[:length], sum(steps[place, tokens[place]].item() for place in range(length))))
    return rows


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_tokens_equal_those_of_stock_generation(family, samples):
    model, processor = tiny_model(family)
    inputs = inputs_of(processor, samples)
    free = stock(model, inputs, NEVER)
    end_ids = frozenset({free[0][0][3], free[1][0][6]})

    ours = decode_batch(model, inputs, max_new_tokens=12, end_ids=end_ids)
    theirs = stock(model, inputs, end_ids)

    assert [row.tokens for row in ours] == [tokens for tokens, _ in theirs]
    assert [row.log_probability for row in ours] == pytest.approx([total for _, total in theirs], abs=1e-4)
    assert len({tuple(row.tokens) for row in ours}) > 1


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_batch_of_four_gives_the_tokens_of_single_rows(family, samples):
    model, processor = tiny_model(family, seed=1)
    together = decode_batch(model, inputs_of(processor, samples), max_new_tokens=10, end_ids=NEVER)
    alone = [
        decode_batch(model, inputs_of(processor, [sample]), max_new_tokens=10, end_ids=NEVER)[0] for sample in samples
    ]

    assert [row.tokens for row in together] == [row.tokens for row in alone]


def test_rows_that_end_early_do_not_change_the_others(samples):
    model, processor = tiny_model()
    inputs = inputs_of(processor, samples)
    free = decode_batch(model, inputs, max_new_tokens=16, end_ids=NEVER)
    first_of_two = frozenset({free[0].tokens[0], free[1].tokens[0]})

    cut = decode_batch(model, inputs, max_new_tokens=16, end_ids=first_of_two)

    for whole, row in zip(free, cut, strict=True):
        end = next((place for place, token in enumerate(whole.tokens) if token in first_of_two), 15)
        assert row.tokens == whole.tokens[: end + 1]


def test_stop_reasons_are_distinguished(samples):
    model, processor = tiny_model()
    inputs = inputs_of(processor, samples[:1])
    free = decode_batch(model, inputs, max_new_tokens=4, end_ids=NEVER)[0]
    ended = decode_batch(model, inputs, max_new_tokens=4, end_ids=frozenset({free.tokens[0]}))[0]

    assert (free.stop, len(free.tokens)) == ("length", 4)
    assert (ended.stop, ended.tokens) == ("end", free.tokens[:1])


def test_sampling_with_the_same_seed_gives_the_same_tokens(samples):
    model, processor = tiny_model()
    inputs = inputs_of(processor, samples)

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        rows = decode_batch(model, inputs, max_new_tokens=8, end_ids=NEVER, temperature=1.0, generator=generator)
        return [row.tokens for row in rows]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_repeating_row_is_ended(samples):
    model, processor = tiny_model()
    torch.nn.init.zeros_(model.model.language_model.norm.weight)
    inputs = inputs_of(processor, samples[:2])

    guarded = decode_batch(model, inputs, max_new_tokens=80, end_ids=NEVER)
    unguarded = decode_batch(model, inputs, max_new_tokens=80, end_ids=NEVER, repetition_guard=False)

    assert [(row.stop, len(row.tokens)) for row in guarded] == [("loop", 48), ("loop", 48)]
    assert [(row.stop, len(row.tokens)) for row in unguarded] == [("length", 80), ("length", 80)]


def test_evaluation_mode_restores_each_module():
    model, _ = tiny_model()
    model.train()
    model.model.visual.eval()

    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())

    assert model.training
    assert not model.model.visual.training


def test_row_with_nan_logits_fails_alone(samples):
    model, processor = tiny_model()
    inputs = inputs_of(processor, samples[:3])
    expected = decode_batch(model, inputs, max_new_tokens=5, end_ids=NEVER)
    second = torch.tensor([1])
    hook = model.lm_head.register_forward_hook(
        lambda _, __, logits: logits.index_fill(0, second, torch.nan) if len(logits) == 3 else logits
    )
    states = [GenerationState(Sampling(5, temperature), None) for temperature in (None, 1.0, None)]
    try:
        decode(ContinuousBatch(model, NEVER), inputs, states)
    finally:
        hook.remove()

    assert (states[1].stop, states[1].error) == ("failed", NOT_FINITE)
    assert states[0].tokens[0] == expected[0].tokens[0]
    assert [len(states[row].tokens) for row in (0, 2)] == [5, 5]
    assert not any(state.is_active for state in states)
