"""Several answers to a prompt: reproducible by seed, and the engine's rows are distributed as the reference's."""

import pytest

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import adapted, examples
from tests.unit.training.objectives.objective_fixtures import perturb
from texlens.inference.bulk.answer_sampler import AnswerSampler
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.plan import plan_for_rows
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.training.objectives.answer_packs import without_answer


def prompts(processor):
    return [
        without_answer(example, example.answer_tokens)
        for example in examples(processor, patchify=image_to_raw_patches)[:2]
    ]


def sampler(temperature=1.0, **options):
    model, processor = tiny_model("qwen3_vl")
    return AnswerSampler(model, processor, Sampling(6, temperature), **options), prompts(processor)


@pytest.mark.parametrize("use_engine", [False, True])
def test_answers_follow_from_their_seeds_alone(use_engine):
    options = {"use_engine": use_engine, "plan": plan_for_rows(8, 256)}
    first, drawn_from = sampler(**options)
    done = []
    both = first.draw(drawn_from, [[1, 2, 3], [4, 5, 6]], done.append)
    again = first.draw(drawn_from[1:], [[6, 4]])
    assert len({tuple(state.tokens) for group in both for state in group}) > 3
    assert [state.tokens for state in again[0]] == [both[1][2].tokens, both[1][0].tokens]
    assert sorted((answer.prompt, answer.number) for answer in done) == [(p, n) for p in (0, 1) for n in (0, 1, 2)]
    assert all(answer.state is both[answer.prompt][answer.number] for answer in done)
    first.close()


def test_engine_and_reference_choose_the_same_likeliest_tokens():
    engine, drawn_from = sampler(None, use_engine=True, plan=plan_for_rows(8, 256))
    reference, _ = sampler(None, use_engine=False)
    left, right = engine.draw(drawn_from, [[0], [0]]), reference.draw(drawn_from, [[0], [0]])
    for (by_engine,), (by_reference,) in zip(left, right, strict=True):
        assert by_engine.tokens == by_reference.tokens
        assert by_engine.log_probabilities == pytest.approx(by_reference.log_probabilities, abs=1e-4)
    engine.close()


@pytest.mark.parametrize("use_engine", [False, True])
def test_answers_follow_the_adapter_as_it_changes(use_engine):
    model, processor = tiny_model("qwen3_vl")
    tuned = adapted(model, init_lora_weights=True)
    drawing = AnswerSampler(
        tuned, processor, Sampling(6, None), use_engine=use_engine, plan=plan_for_rows(8, 256) if use_engine else None
    )
    drawn_from, seeds = prompts(processor), [[0], [0]]
    before = drawing.draw(drawn_from, seeds)
    perturb(tuned)
    after = drawing.draw(drawn_from, seeds)
    expected = AnswerSampler(tuned, processor, Sampling(6, None), use_engine=False).draw(drawn_from, seeds)
    for (first,), (second,), (by_reference,) in zip(before, after, expected, strict=True):
        assert second.tokens == by_reference.tokens
        assert second.log_probabilities == pytest.approx(by_reference.log_probabilities, abs=1e-4)
        assert second.log_probabilities[0] != pytest.approx(first.log_probabilities[0], abs=1e-2)
    drawing.close()
