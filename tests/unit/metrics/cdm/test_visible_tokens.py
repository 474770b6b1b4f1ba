"""What a formula shows, token by token."""

import pytest

from texlens.metrics.cdm.visible_tokens import picture


def shown(formula):
    return [token.name for token in picture(formula).tokens]


@pytest.mark.parametrize(
    ("formula", "tokens"),
    [
        (r"\sin x", ["s", "i", "n", "x"]),
        (r"\ldots", [".", ".", "."]),
        (r"\frac{a}{b}", ["\\frac", "a", "b"]),
        (r"\sqrt{\frac{\frac{a}{b}}{\frac{c}{d}}}", ["\\sqrt", "\\frac", "\\frac", "a", "b", "\\frac", "c", "d"]),
        (r"\left( x \right)", ["(", "x", ")"]),
        (r"\left\{ \frac{\frac{\frac{a}{b}}{c}}{d} \right.", ["{", "\\frac", "\\frac", "\\frac", "a", "b", "c", "d"]),
        (r"\mathbf{x}\,\text{ab c}", ["x", "a", "b", "c"]),
        (r"\le \leq", ["≤", "≤"]),
        (r"\ne \not=", ["≠", "≠"]),
        (r"5 \% \lt 6", ["5", "%", "<", "6"]),
        (r"\phantom{x} y", ["y"]),
        (r"\hat{a} \widehat{a}", ["accent ̂", "a", "accent ̂", "a"]),
        (r"\begin{array}{c|c} a & b \end{array}", ["line |", "a", "b"]),
        ("", []),
        (r"\quad", []),
    ],
)
def test_tokens(formula, tokens):
    assert shown(formula) == tokens


def test_a_radical_is_as_wide_as_its_rule():
    radical, *body = picture(r"\sqrt{abc}").tokens
    assert radical.extent[0] < body[0].extent[0]
    assert radical.extent[2] == pytest.approx(body[-1].extent[2], abs=0.1)


def test_boxes_are_in_pixels_with_room_around():
    (box,) = picture("x").boxes_N4.tolist()
    width, height = picture("x").size
    assert box[:2] == [7.0, 7.0]
    assert (box[2], box[3]) == (pytest.approx(width - 7), pytest.approx(height - 7))
    assert 12 < box[3] - box[1] < 20


def test_scripts_and_containers_are_reported():
    tokens = picture(r"a^{b_c} \sqrt{\frac{d}{e}}").tokens
    assert [token.scripts for token in tokens[:3]] == [(), ("sup",), ("sup", "sub")]
    assert tokens[5].within == ((3, "in"), (4, "over"))
    assert tokens[6].within == ((3, "in"), (4, "under"))
