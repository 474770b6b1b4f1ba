import random

from texlens.synthesis.tasks.spans import SPANS, FormulaPart, parts_of


def test_parts_are_counted_by_their_role():
    formula = r"\frac { 1 } { \sqrt [ 3 ] { x _ { i } } } + y ^ { 2 } _ { j }"
    assert parts_of(formula) == [
        FormulaPart("numerator", 1, "1"),
        FormulaPart("denominator", 1, r"\sqrt [ 3 ] { x _ { i } }"),
        FormulaPart("radicand", 1, "x _ { i }"),
        FormulaPart("subscript", 1, "i"),
        FormulaPart("superscript", 1, "2"),
        FormulaPart("subscript", 2, "j"),
    ]


def test_a_degree_with_braces_and_groups_that_are_none_are_passed_over():
    assert parts_of(r"\sqrt [ n _ { k } ] { z }") == [FormulaPart("radicand", 1, "z"), FormulaPart("subscript", 1, "k")]
    assert parts_of(r"\sqrt [ n") == []
    assert parts_of(r"x ^ 2 \frac { 1") == []


def test_a_question_names_one_part():
    pair = SPANS.make("x ^ { 2 }", random.Random(0))
    assert pair is not None
    assert (pair.prompt, pair.text) == ("Read only superscript 1 of the formula.", "2")
    assert SPANS.make("x", random.Random(0)) is None
    assert SPANS.make(r"\frac{", random.Random(0)) is None
