import pytest

from tests.unit.inputs.branches.test_share_prefix import ROWS
from tests.unit.inputs.examples import IMAGE, LAYOUT, PAD, example
from texlens.inputs.branches.segments import answer_count, answers_of_labels
from texlens.inputs.branches.share_prefix import share_prefix
from texlens.inputs.pack import PackSpec, build_pack


def test_a_packs_segments_are_prefixes_branches_and_plain_rows():
    spec = PackSpec(IMAGE, PAD, token_multiple=8)
    pack = build_pack([example("p", (2, 2), [50, 51]), share_prefix(ROWS, IMAGE)], spec)
    assert pack["text_ends"].tolist() == [0, 5, 19, 24]
    assert pack["segment_ends"].tolist() == [0, 5, 9, 12, 16, 19, 24]
    assert pack["prefix_starts"].tolist() == [0, 5, 5, 5, 5, 19]
    assert pack["prefix_ends"].tolist() == [0, 5, 9, 9, 9, 19]
    assert pack["group_ends"].tolist() == [5, 19, 12, 16, 19, 24]
    assert (pack["longest_segment"], pack["longest_prefix"]) == (5, 4)
    assert pack["labels"].tolist() == [50, 51, 40, 41, 42, 43]
    assert pack["label_rows"].tolist() == [2, 3, 10, 13, 14, 17]


def test_branches_have_the_positions_of_rows_alone():
    shared, separate = build_pack([share_prefix(ROWS, IMAGE)], LAYOUT), [build_pack([part], LAYOUT) for part in ROWS]
    cuts = [(4, 7), (7, 11), (11, 14)]
    assert shared["positions"][:, :4].tolist() == separate[0]["positions"][:, :4].tolist()
    for (start, end), pack in zip(cuts, separate, strict=True):
        assert shared["positions"][:, start:end].tolist() == pack["positions"][:, 4:].tolist()


@pytest.mark.parametrize("shares", [True, False])
def test_each_label_knows_its_answer(shares):
    rows = [share_prefix(ROWS, IMAGE)] if shares else ROWS
    pack = build_pack([example("p", (2, 2), [50, 51]), *rows], LAYOUT)
    assert answers_of_labels(pack).tolist() == [0, 0, 1, 2, 2, 3]
    assert answer_count(pack) == 4
