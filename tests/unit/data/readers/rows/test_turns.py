import pytest

from texlens.core.errors import DataError
from texlens.data.readers.rows.turns import (
    ParsedTurn,
    apply_loss_mask,
    check_placeholders,
    parse_history,
    parse_turns,
    pixel_budget,
)
from texlens.data.sample import Turn


def test_turns_of_every_spelling():
    turns = [{"from": "human", "value": "<img>a.png</img>Read"}, {"from": "gpt", "value": "x", "loss": False}]
    assert parse_turns(turns, bare_paths=False) == [
        ParsedTurn("user", "<image>Read", ["a.png"], [None]),
        ParsedTurn("assistant", "x", is_trained=False),
    ]


@pytest.mark.parametrize("history", [[["a", "b"]], [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]])
def test_history_as_pairs_or_turns(history):
    assert parse_history(history) == (Turn("user", "a"), Turn("assistant", "b"))
    assert parse_history(None) == ()


@pytest.mark.parametrize("history", ["a", [["a"]], [["a", 1]], [["a", "b"], {"role": "user", "content": "c"}]])
def test_a_history_of_another_form_is_rejected(history):
    with pytest.raises(DataError, match="'history'"):
        parse_history(history)


def test_a_loss_mask_counts_turns_or_answers():
    for mask in ([0, 1], [0, 0, 0, 1]):
        turns = [ParsedTurn(role, "") for role in ("user", "assistant", "user", "assistant")]
        apply_loss_mask(turns, mask)
        assert [turn.is_trained for turn in turns if turn.role == "assistant"] == [False, True]


@pytest.mark.parametrize(
    ("fields", "budget"),
    [({}, None), ({"max_pixels": 9}, 9), ({"resized_height": 2, "resized_width": 3, "max_pixels": 9}, 6)],
)
def test_a_pixel_budget_is_that_of_the_size_or_of_max_pixels(fields, budget):
    assert pixel_budget(fields) == budget


@pytest.mark.parametrize("fields", [{"resized_height": 2}, {"max_pixels": 0}, {"max_pixels": "9"}])
def test_a_pixel_budget_of_another_form_is_rejected(fields):
    with pytest.raises(DataError, match="positive integers"):
        pixel_budget(fields)


def test_placeholders_must_be_as_many_as_images():
    check_placeholders(["Read"], 2)
    with pytest.raises(DataError, match="2 images for 1 <image> placeholders"):
        check_placeholders(["<image>"], 2)
