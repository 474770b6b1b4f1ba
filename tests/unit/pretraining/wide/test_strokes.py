"""Handwriting of pre-training: no writer and none of the held letter forms of the demo set."""

import random

from pretraining import demo_data
from pretraining.wide import strokes

from texlens.latex.handwriting.writer import WriterStyle, stroke_table


def test_the_demo_s_writers_are_left_out():
    assert demo_data.WRITERS <= strokes.FIRST_WRITER


def test_held_characters_have_other_forms():
    assert all(len(stroke_table()[character]) > 1 for character in strokes.HELD_FORMS)


def test_fonts_that_a_pen_does_not_show_are_not_written():
    assert strokes.handwritten("{ \\cal O }", random.Random(0)) is None
    image, px_per_em = strokes.handwritten("x + 1", random.Random(0)) or (None, 0)
    assert image
    assert image.mode == "L"
    assert px_per_em > 15


def test_a_writer_of_first_forms_writes_the_first_form():
    from texlens.latex.handwriting.writer import _Writer

    writer = _Writer(WriterStyle(first_form_only=frozenset("2")), random.Random(0))
    assert {writer.form("2") for _ in range(50)} == {stroke_table()["2"][0]}
