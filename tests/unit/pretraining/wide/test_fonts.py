"""Fonts beside the bundled ones are optional; formulas whose commands a font does not show are not drawn with it."""

from pretraining.wide.fonts import EXTRA, INDISTINCT, WEIGHTS, register, shows

from texlens.latex.layout.fonts import FONT_NAMES


def test_without_a_folder_only_bundled_fonts_are_drawn_with(tmp_path):
    assert set(register(None)) == set(register(tmp_path)) == set(FONT_NAMES)


def test_each_font_has_a_weight():
    assert set(WEIGHTS) == {*FONT_NAMES, *EXTRA} >= set(INDISTINCT)


def test_a_sans_font_does_not_draw_sans_commands():
    assert not shows("fira", ["\\mathsf", "{", "A", "}"])
    assert shows("fira", ["\\mathrm", "{", "A", "}"])
