"""Marks change nothing of what is drawn."""

import pytest

from texlens.latex.layout.formula import glyph_box, layout
from texlens.metrics.cdm.ink_groups import Slot, ink_groups

FORMULAS = [
    r"\sqrt[3]{\frac{a^2}{b_1}} + \left( \sum_{i=0}^{n} x_i \right)",
    r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}",
    r"\begin{array}{c|c} \hline a & \overline{b} \end{array}",
    r"\xrightarrow[u]{\text{over and over again}} \underbrace{x+y}_{z} \overset{!}{=} \not\subset",
    r"\binom{n}{k} \hat{a} \vec{\imath} \dots \lim_{x \to 0} \bigl| \boxed{E}",
    r"\left\{ \frac{x}{\frac{y}{\frac{z}{w}}} \right.",
    r"f'(x) \pmod{p} \operatorname{abc} \mathbb{R} {n \choose k} \rule{1em}{2ex} \big/ 漢 \phantom{x} \Bigg]",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_every_glyph_and_rule_is_where_the_layout_has_it(formula):
    drawn = layout(formula, system_fonts=False)
    boxes = [glyph_box(glyph) for glyph in drawn.glyphs]
    boxes += [(rule.x, rule.y, rule.x + rule.width, rule.y + rule.height) for rule in drawn.rules]
    marked = [extent for group in ink_groups(formula) for extent in group.extents]
    assert sorted(marked) == [pytest.approx(extent) for extent in sorted(boxes)]


def test_places_are_named():
    places = [group.node.name for group in ink_groups(r"\frac{a^2}{\sqrt[3]{b_1}}") if isinstance(group.node, Slot)]
    assert sorted(places) == ["degree", "in", "over", "sub", "sup", "under"]
