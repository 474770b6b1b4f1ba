import numpy as np
import pytest

from tests.unit.inputs.examples import IMAGE
from texlens.core.errors import DataError
from texlens.core.labels import IGNORE_INDEX
from texlens.inputs.branches.share_prefix import separate, share_prefix
from texlens.inputs.example import Example

IGNORED = IGNORE_INDEX


def row(question: list[int], answer: list[int], grid=(2, 4), name="a") -> Example:
    prompt = [1, *[IMAGE] * (grid[0] * grid[1] // 4), *question]
    patches = np.ones((grid[0] * grid[1], 12), np.uint8)
    return Example([*prompt, *answer], [IGNORED] * len(prompt) + answer, (1, *grid), name, patches)


ROWS = [row([2, 30, 3], [40]), row([2, 31, 3], [41, 42]), row([2, 30, 3], [43])]


def test_the_common_beginning_is_in_the_example_once():
    shared = share_prefix(ROWS, IMAGE)
    assert shared.input_ids == [1, IMAGE, IMAGE, 2, 30, 3, 40, 31, 3, 41, 42, 30, 3, 43]
    assert shared.branch_starts == (4, 7, 11)
    assert shared.labels == [IGNORED] * 6 + [40] + [IGNORED] * 2 + [41, 42] + [IGNORED] * 2 + [43]


def test_equal_prompts_leave_the_last_token_to_each_branch():
    shared = share_prefix([row([2, 3], [40]), row([2, 3], [41])], IMAGE)
    assert shared.input_ids == [1, IMAGE, IMAGE, 2, 3, 40, 3, 41]
    assert shared.branch_starts == (4, 6)


def test_equal_rows_keep_their_labels():
    shared = share_prefix([row([2, 3], [40, 41])] * 2, IMAGE)
    assert shared.branch_starts == (4, 7)
    assert shared.answer_tokens == 4


def test_an_earlier_answer_that_is_trained_on_is_in_every_branch():
    rows = [row([2, 3], [40, 5, 6, answer]) for answer in (41, 42)]
    for example_row in rows:
        example_row.labels[6:8] = [IGNORED] * 2
    assert share_prefix(rows, IMAGE).branch_starts == (4, 9)


def test_separate_gives_the_rows_back():
    for back, original in zip(separate(share_prefix(ROWS, IMAGE)), ROWS, strict=True):
        assert (back.input_ids, back.labels, back.grid) == (original.input_ids, original.labels, original.grid)
        assert back.patches is ROWS[0].patches
    assert separate(ROWS[0]) == [ROWS[0]]


def test_a_single_row_is_returned_as_it_is():
    assert share_prefix(ROWS[:1], IMAGE) is ROWS[0]


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([row([2, 3], [40], grid=(2, 2))], "different images"),
        ([Example([7, *ROWS[0].input_ids], [IGNORED, *ROWS[0].labels], (1, 2, 4), "a")], "before the image"),
    ],
)
def test_rows_that_share_no_image_are_refused(others, reason):
    with pytest.raises(DataError, match=reason):
        share_prefix([ROWS[0], *others], IMAGE)


def test_branches_of_branches_are_refused():
    with pytest.raises(ValueError, match="has branches"):
        share_prefix([share_prefix(ROWS, IMAGE), ROWS[0]], IMAGE)
