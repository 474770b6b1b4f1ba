"""Facts of layout that TeX guarantees."""

import pytest

from texlens.latex.layout.boxes import glyph_box
from texlens.latex.layout.fonts import FONT_NAMES, math_font
from texlens.latex.layout.formula import layout

EM = pytest.approx


def glyphs(formula, **options):
    return {glyph.source: glyph for glyph in layout(formula, **options).glyphs}


def width(formula, **options):
    return layout(formula, **options).width


def test_spaces_in_the_source_change_nothing():
    assert layout("a b") == layout("ab")


def test_the_same_formula_gives_the_same_layout():
    formula = r"\sum_{i=1}^n \frac{\sqrt{x_i}}{2} \left( a \right)"
    assert layout(formula) == layout(formula)


def test_a_fraction_stands_around_the_axis():
    placed = layout(r"\frac{a}{b}")
    (bar,) = placed.rules
    above, below = placed.glyphs
    axis = math_font("latin-modern").constants["AxisHeight"]
    assert bar.y + bar.height / 2 == EM(axis)
    assert glyph_box(above)[1] > bar.y + bar.height
    assert glyph_box(below)[3] < bar.y
    assert bar.source == "\\frac"


def test_scripts_are_smaller_and_shifted():
    by_character = glyphs("x^2_1")
    assert by_character["2"].size == by_character["1"].size == EM(8 / 11)
    assert by_character["2"].y > 0 > by_character["1"].y
    assert layout("x^{y^z}").glyphs[2].size == EM(6 / 11)


def test_a_superscript_in_display_stands_where_computer_modern_puts_it():
    assert glyphs("x^2")["2"].y == EM(0.413)
    assert glyphs("x^2", display=False)["2"].y == EM(0.363)


def test_a_cramped_superscript_is_lower():
    assert glyphs(r"\sqrt{x^2}")["2"].y < glyphs("x^2")["2"].y


def test_limits_go_over_and_under_in_display_and_beside_in_text():
    display, text = (glyphs(r"\sum_a^b", display=shown) for shown in (True, False))
    assert display["a"].x < text["a"].x
    assert glyph_box(display["b"])[1] > glyph_box(display["\\sum"])[3]
    assert glyph_box(display["a"])[3] < glyph_box(display["\\sum"])[1]
    forced = glyphs(r"\sum\limits_a^b", display=False)
    assert glyph_box(forced["b"])[1] > glyph_box(forced["\\sum"])[3]
    beside = glyphs(r"\sum\nolimits_a^b")
    assert beside["a"].x > beside["\\sum"].x + 1.4


def test_operators_grow_in_display():
    heights = [layout(r"\int", display=display).height for display in (True, False)]
    assert heights[0] > 1.3 > heights[1]


def test_the_root_covers_its_radicand():
    placed = layout(r"\sqrt{\frac{a}{b}+c}")
    rule = next(rule for rule in placed.rules if rule.source == "\\sqrt")
    inside = [glyph_box(glyph) for glyph in placed.glyphs if glyph.source != "\\sqrt"]
    assert rule.x <= min(box[0] for box in inside)
    assert rule.x + rule.width >= max(box[2] for box in inside)
    assert rule.y > max(box[3] for box in inside)
    sign = next(glyph for glyph in placed.glyphs if glyph.source == "\\sqrt")
    assert glyph_box(sign)[3] == EM(rule.y + rule.height, abs=0.01)


@pytest.mark.parametrize(
    ("formula", "space"),
    [("a+b", 8 / 18), ("a=b", 10 / 18), ("a,b", 3 / 18), ("(+b", 0.0), ("a(b", 0.0), (r"a\sin b", 6 / 18)],
)
def test_space_between_atoms_is_texs(formula, space):
    pieces = formula.replace(r"\sin", "S").replace(" ", "")
    separate_width = sum(width(piece if piece != "S" else r"\sin") for piece in pieces)
    assert width(formula) - separate_width == EM(space)


def test_no_space_around_relations_in_scripts():
    assert width("x^{a=b}") == EM(width("x") + sum(width("{}^" + c) - 0.05 for c in "a=b") + 0.05)


def test_a_sign_is_no_binary_operator():
    assert width("-a") == EM(width("-") + width("a"))
    assert width("a=-b") == EM(width("a") + width("=") + width("-") + width("b") + 10 / 18)


@pytest.mark.parametrize("inner", ["x", r"\frac{a}{b}", r"\begin{matrix}1\\2\\3\\4\\5\\6\\7\end{matrix}"])
def test_delimiters_cover_what_they_enclose(inner):
    placed = layout(rf"\left( {inner} \right)")
    fence = [glyph_box(glyph) for glyph in placed.glyphs if glyph.source == "("]
    inside = layout(inner)
    assert max(box[3] for box in fence) >= inside.height - 0.3
    assert min(box[1] for box in fence) <= -inside.depth + 0.3


def test_sizes_of_big():
    heights = [layout(rf"{command}(").height for command in ("", "\\big", "\\Big", "\\bigg", "\\Bigg")]
    totals = [layout(rf"{command}(").height + layout(rf"{command}(").depth for command in ("\\big", "\\Bigg")]
    assert heights == sorted(heights)
    assert totals == EM([1.2, 3.0], abs=0.02)


def test_an_accent_sits_over_the_middle_of_a_wide_letter():
    placed = glyphs(r"\hat{M}")
    left, _, right, _ = glyph_box(placed["\\hat"])
    assert placed["M"].x + 0.3 < (left + right) / 2 < placed["M"].x + 0.8
    assert layout(r"\widehat{abc}").width == EM(layout("abc").width)


def test_columns_of_a_matrix_are_aligned():
    placed = layout(r"\begin{array}{lr} aaa & b \\ c & ddd \end{array}").glyphs
    first = [glyph.x for glyph in placed if glyph.source in "ac"]
    assert min(first) == placed[0].x == next(glyph.x for glyph in placed if glyph.source == "c")
    a = next(glyph.y for glyph in placed if glyph.source == "a")
    c = next(glyph.y for glyph in placed if glyph.source == "c")
    assert a - c == EM(1.2)


def test_columns_of_aligned_equations_meet_at_the_sign():
    signs = [glyph.x for glyph in layout(r"\begin{aligned}a&=b\\aaa&=c\end{aligned}").glyphs if glyph.source == "="]
    assert signs[0] == signs[1]


def test_alphabets():
    assert [
        glyph.character for glyph in layout(r"\mathbf{A}\mathcal{B}\mathbb{R}\mathrm{d}x\alpha\Gamma2").glyphs
    ] == list("𝐀ℬℝd𝑥𝛼Γ2")
    assert [glyph.character for glyph in layout(r"{\bf A}A\boldsymbol{\alpha x}").glyphs] == list("𝐀𝐴𝜶𝒙")


def test_each_glyph_has_its_token():
    assert [glyph.source for glyph in layout(r"\alpha\sin x'\le").glyphs] == [
        "\\alpha",
        *["\\sin"] * 3,
        "x",
        "\\prime",
        "\\le",
    ]


def test_chinese_in_text_and_bare():
    for formula in (r"\text{若}x", "若x"):
        placed = layout(formula)
        assert placed.width > 1.5
        assert [glyph.source for glyph in placed.glyphs if glyph.font == "cjk"] in (["若"], [])


def test_a_character_that_no_font_has_is_a_frame():
    placed = layout("\U0001f9ff")
    assert placed.width == EM(1.0) or placed.glyphs


def test_size_scales_everything():
    small, large = layout(r"\frac{a}{b^2}"), layout(r"\frac{a}{b^2}", size=10)
    assert large.width == EM(10 * small.width)
    assert large.glyphs[1].y == EM(10 * small.glyphs[1].y)
    assert large.rules[0].height == EM(10 * small.rules[0].height)


@pytest.mark.parametrize("font", FONT_NAMES)
def test_every_font_sets_a_hard_formula(font):
    placed = layout(r"\left\{\sum_{i=1}^{n}\sqrt[3]{\frac{x_i}{\hat y}}\right\}\underbrace{abc}_{d}\int_0^1", font=font)
    assert {glyph.font for glyph in placed.glyphs} == {font}
    assert placed.height > 1 < placed.depth + 1


def test_phantom_takes_room_without_ink():
    assert layout(r"\phantom{abc}").glyphs == ()
    assert width(r"\phantom{abc}") == EM(width("abc"))


def test_negated_relations_are_one_glyph_where_the_font_has_it():
    assert [glyph.character for glyph in layout(r"\not=").glyphs] == ["≠"]
