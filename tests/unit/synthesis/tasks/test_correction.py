import random

import pytest

from texlens.synthesis.tasks.correction import CORRECTION, corrected, difference


@pytest.mark.parametrize(
    ("reading", "formula", "answer"),
    [
        ("x - 2", "x + 2", "2: - → +"),
        ("x - 2", "x + 2 y", "2: - → +\n4: ∅ → y"),
        ("( x )", "x )", "1: ( → ∅"),
        ("x , y", "x ; y", "2: , → ;"),
        ("x", "x", "nothing"),
    ],
)
def test_a_difference_names_position_and_tokens_and_can_be_applied(reading, formula, answer):
    assert difference(reading, formula) == answer
    assert corrected(reading, answer) == formula


@pytest.mark.parametrize("answer", ["x", "2 - → +", "2: y → z", "two: - → +"])
def test_an_answer_of_another_form_is_an_error(answer):
    with pytest.raises(ValueError, match="is"):
        corrected("x - 2", answer)


def test_readings_have_slips_and_answers_undo_them():
    formula, answers = r"\frac { x + 1 } { 2 } - y _ { i }", set()
    for seed in range(30):
        pair = CORRECTION.make(formula, random.Random(seed))
        assert pair is not None
        reading = pair.prompt.removeprefix("A reading of the formula: ").removesuffix(". What is wrong in it?")
        assert corrected(reading, pair.text) == formula
        answers.add(pair.text)
    assert "nothing" in answers
    assert len(answers) > 5


def test_what_does_not_parse_is_not_corrected():
    assert CORRECTION.make(r"\frac{a", random.Random(0)) is None
