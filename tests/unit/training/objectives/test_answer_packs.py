"""Groups of answers in packs."""

import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.training.objectives.objective_fixtures import ANSWERS, backend, groups, stock_logs
from texlens.inputs.branches.segments import answers_of_labels
from texlens.training.objectives.answer_packs import ANSWER_OF_LABEL, group_packs, split_group
from texlens.training.objectives.measurements import answer_sums

VALUES = ((1.0, 2.0), (3.0, 4.0))


def test_each_answer_has_the_log_probability_that_it_has_alone():
    model, processor = tiny_model("qwen3_vl")
    packed = backend(model, processor)
    (pack,) = group_packs(groups(processor, advantage=VALUES), packed.spec, 4096)
    with torch.no_grad():
        scores = packed.forward.label_scores(pack)
        expected = [logs.sum() for group in stock_logs(model, processor) for logs in group]
    sums = answer_sums(scores.log_probabilities, pack[ANSWER_OF_LABEL], pack["answers"])
    torch.testing.assert_close(sums, torch.stack(expected), atol=1e-5, rtol=1e-5)
    assert pack["advantage"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert pack["answer_tokens"].tolist() == [3, 2, 4, 4]
    assert pack["answers"] == 4


def test_a_group_s_prompt_is_in_the_pack_once():
    model, processor = tiny_model("qwen3_vl")
    pair_groups = groups(processor)
    (pack,) = group_packs(pair_groups, backend(model, processor).spec, 4096)
    assert pack["tokens"] == sum(map(len, pair_groups)) == sum(len(group.prompt) for group in pair_groups) + 13 + 2
    assert torch.equal(pack[ANSWER_OF_LABEL], answers_of_labels(pack))


def test_groups_are_never_divided_by_packing():
    model, processor = tiny_model("qwen3_vl")
    packs = group_packs(groups(processor), backend(model, processor).spec, 64)
    assert [pack["answers"] for pack in packs] == [2, 2]


def test_a_long_group_is_split_into_parts_with_their_values():
    _, processor = tiny_model("qwen3_vl")
    first = groups(processor, advantage=VALUES)[0]
    parts = split_group(first, len(first.prompt) + 3)
    assert [part.answers for part in parts] == [ANSWERS[0][:1], ANSWERS[0][1:]]
    assert [part.values["advantage"] for part in parts] == [(1.0,), (2.0,)]
    assert split_group(first, 10_000) == [first]


def test_no_groups_are_no_packs():
    model, processor = tiny_model("qwen3_vl")
    assert group_packs([], backend(model, processor).spec, 64) == []
