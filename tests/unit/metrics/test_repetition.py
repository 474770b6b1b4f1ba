"""A model that repeats itself is caught; a matrix is not."""

import pytest

from texlens.metrics.repetition import ends_in_loop, has_loop, longest_run

REFERENCE = ["x", "^", "2", "+", "y"]


def test_one_token_over_and_over_is_a_loop():
    assert has_loop(REFERENCE, ["x"] + ["a"] * 12)


def test_eleven_of_one_token_are_not_yet_a_loop():
    assert not has_loop(REFERENCE, ["x"] + ["a"] * 11)


def test_a_unit_of_eight_tokens_needs_six_repeats():
    unit = list("abcdefgh")
    assert has_loop(REFERENCE, unit * 6)
    assert not has_loop(REFERENCE, unit * 5)


def test_a_unit_of_nine_tokens_is_text_not_a_loop():
    assert not has_loop(REFERENCE, list("abcdefghi") * 9)


def test_a_loop_in_the_middle_counts():
    assert has_loop(REFERENCE, ["x", "="] + ["\\alpha", "+"] * 6 + ["y"])


def test_a_matrix_of_zeros_is_no_loop_where_the_reference_has_it():
    line = ["0", "&", "0", "&", "0", "&", "0", "&", "0", "&", "0", "&", "0", "&", "0"]
    assert not has_loop(line, line)
    assert not has_loop(line, [*line, "&", "0"])
    assert has_loop(REFERENCE, line)


def test_running_away_inside_a_matrix_is_a_loop():
    line = ["0", "&", "0", "&", "0", "&", "0", "&", "0", "&", "0", "&", "0", "&", "0"]
    assert has_loop(line, ["0", "&"] * 100)


def test_nothing_repeats_in_no_tokens():
    assert not has_loop([], [])


@pytest.mark.parametrize(
    ("tokens", "period", "length"),
    [("xababay", 2, 5), ("aaa", 1, 3), ("abc", 1, 0), ("abcabcabx", 3, 8), ("abxaby", 3, 0), ("", 1, 0)],
)
def test_the_longest_run_of_a_period(tokens, period, length):
    assert longest_run(list(tokens), period) == length


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([7] * 47, False),
        ([7] * 48, True),
        ([1, 2, 3] * 15, False),
        ([1, 2, 3] * 16, True),
        (list(range(8)) * 8, True),
        (list(range(8)) * 7, False),
        (list(range(9)) * 20, False),
        ([5] * 60 + [6], False),
        ([9, 9] + [1, 2] * 24, True),
    ],
)
def test_generated_text_ends_in_a_loop(tokens, expected):
    assert ends_in_loop(tokens) is expected
