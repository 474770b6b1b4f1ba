import random

from texlens.synthesis.tasks.counting import COUNTING, symbol_counts


def test_symbols_are_counted_in_the_order_of_their_first_occurrence():
    pair = COUNTING.make(r"x ^ { 2 } + \frac { x } { 2 } : 1", random.Random(0))
    assert pair is not None
    assert pair.text == r"x:2 2:2 +:1 \frac:1 ::1 1:1"


def test_spaces_are_no_symbols_and_words_count_once():
    assert symbol_counts(r"a \; \text{if a} \quad a") == {"a": 2, r"\text": 1}


def test_what_does_not_parse_has_no_counts():
    assert symbol_counts(r"\frac{a") is None
    assert COUNTING.make("", random.Random(0)) is None
