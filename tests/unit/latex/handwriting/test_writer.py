import random

import numpy as np
import pytest

from texlens.core.errors import LatexError
from texlens.latex.handwriting.writer import (
    Stroke,
    WriterStyle,
    characters_of,
    curve,
    draw_handwriting,
    stroke_table,
    writable,
)
from texlens.latex.layout.formula import layout

FORMULA = r"\int _ { 0 } ^ { 1 } \frac { x ^ { 2 } + 1 } { \sqrt { 2 y - 3 } } d x"


def written(seed: int, style: WriterStyle, **settings: float) -> np.ndarray:
    return np.asarray(draw_handwriting(layout(FORMULA), random.Random(seed), style=style, **settings))


def test_the_same_seed_and_writer_give_the_same_pixels():
    assert np.array_equal(written(1, WriterStyle.of_writer(2)), written(1, WriterStyle.of_writer(2)))


def test_another_writer_or_another_moment_gives_other_pixels():
    first = written(1, WriterStyle.of_writer(2))

    assert not np.array_equal(first, written(1, WriterStyle.of_writer(3)))
    assert not np.array_equal(first, written(5, WriterStyle.of_writer(2)))


def test_all_ink_is_inside_and_near_the_edges():
    for seed in range(20):
        page = written(seed, WriterStyle.of_writer(seed), padding_px=5)
        rows, columns = np.where(page < 128)
        assert 4 <= min(rows.min(), columns.min()) <= 8
        assert page[:3].min() == page[-3:].min() == page[:, :3].min() == page[:, -3:].min() == 255


def test_letters_are_as_large_as_asked():
    small, large = written(0, WriterStyle(), x_height_px=10), written(0, WriterStyle(), x_height_px=20)

    assert large.shape[1] == pytest.approx(2 * small.shape[1], rel=0.1)


def test_a_wider_pen_leaves_more_ink():
    assert (255 - written(0, WriterStyle(pen_px=4))).sum() > 1.5 * (255 - written(0, WriterStyle(pen_px=2))).sum()


def test_a_tall_bracket_made_of_pieces_is_one_character_and_stacked_digits_are_many():
    column = r"\left( \begin{array} { c } { 1 } \\ { 1 } \\ { 1 } \\ { 1 } \\ { 1 } \\ { 1 } \\ \end{array} \right."

    characters = list(characters_of(layout(column)))

    assert [character for character, _ in characters] == ["(", *"111111"]
    left, bottom, right, top = characters[0][1]
    assert top - bottom > 6.5
    assert right - left < 1


def test_a_symbol_without_strokes_is_named():
    formula = layout(r"\aleph + 1")

    assert not writable(formula)
    with pytest.raises(LatexError, match="no strokes for 'ℵ'"):
        draw_handwriting(formula, random.Random(0))


def test_every_line_of_the_stroke_table_has_points_in_its_box():
    for character, forms in stroke_table().items():
        for form in forms:
            points = [point for stroke in form for point in stroke.points]
            assert len(character) == 1
            assert all(len(stroke.points) >= 2 for stroke in form), character
            assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in points), character


def test_a_curve_goes_through_its_points_and_breaks_at_corners():
    stroke = Stroke(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)), (1,))

    line = curve(stroke)

    assert set(stroke.points) <= set(line)
    assert all(y == 0 or x == 1 for x, y in line)
