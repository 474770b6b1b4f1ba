"""Other engines' habits change where glyphs are, never which; TeX's own habits change nothing."""

import random

from pretraining.wide.habits import HabitEngine, Habits, Typesetter, without_small_spaces

from texlens.latex.layout.fonts import math_font
from texlens.latex.layout.formula import layout

FORMULA = "a = \\frac { x _ { i } ^ { 2 } } { \\sqrt { b } } + c , d"


def test_tex_s_habits_are_our_own_layout():
    typesetter = Typesetter("latin-modern", HabitEngine(math_font("latin-modern"), Habits()))
    assert typesetter.layout(FORMULA) == layout(FORMULA)


def test_drawn_habits_keep_the_glyphs_and_move_them():
    ours = layout(FORMULA)
    for seed in range(5):
        typesetter = Typesetter(
            "latin-modern", HabitEngine(math_font("latin-modern"), Habits.drawn(random.Random(seed)))
        )
        theirs = typesetter.layout(FORMULA)
        assert [glyph[0] for glyph in theirs.glyphs] == [glyph[0] for glyph in ours.glyphs]
        assert [glyph[3] for glyph in theirs.glyphs] != [glyph[3] for glyph in ours.glyphs]


def test_spaces_in_scripts_widen_them():
    habit = lambda in_scripts: Typesetter("stix", HabitEngine(math_font("stix"), Habits(in_scripts=in_scripts)))  # noqa: E731
    label = "x ^ { a = b }"
    assert habit(True).layout(label).width > habit(False).layout(label).width


def test_small_spaces_go_and_large_ones_stay():
    assert without_small_spaces("a = \\ b \\, c \\! d") == "a = b c d"
    assert without_small_spaces("a \\quad b ~ c \\\\ d") == "a \\quad b ~ c \\\\ d"
