"""Rows of objectives are about a row's own question, without its answer."""

from dataclasses import replace

from tests.fixtures.tiny_models import tiny_processor
from tests.unit.inputs.branches.test_build import sample
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.training.objectives.preference_rows import PreferenceRows
from texlens.training.objectives.rollout_rows import RolloutRows


def dataset(row) -> ExampleDataset:
    processor = tiny_processor()
    return ExampleDataset([row], processor.tokenizer, processor.geometry, prompt="Read.", patchify=image_to_raw_patches)


def test_further_questions_are_left_out():
    row = sample(extra={"rejected": "x ^ 3"})
    with_questions, plain = dataset(row), dataset(replace(row, more_questions=()))
    assert with_questions[0].branch_starts
    prompt, expected = RolloutRows(with_questions)[0].example, RolloutRows(plain)[0].example
    assert prompt.input_ids == expected.input_ids == plain[0].input_ids[: len(expected)]
    assert len(expected) == len(plain[0]) - plain[0].answer_tokens
    assert not prompt.branch_starts
    group, expected_group = PreferenceRows(with_questions)[0], PreferenceRows(plain)[0]
    assert group.answers == expected_group.answers
    assert group.prompt.input_ids == expected_group.prompt.input_ids == expected.input_ids
