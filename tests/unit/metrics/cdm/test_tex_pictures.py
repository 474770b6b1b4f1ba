"""CDM with TeX as the renderer: the same tokens, and nearly the same boxes."""

import numpy as np
import pytest

from texlens.core.errors import ConfigError
from texlens.latex.tex.run import is_installed
from texlens.metrics.cdm import cdm
from texlens.metrics.cdm.tex_pictures import tex_pictures
from texlens.metrics.cdm.visible_tokens import picture
from texlens.metrics.pairs import score_pairs

has_tex = pytest.mark.skipif(not is_installed(), reason="TeX Live is not installed")
FORMULAS = (
    r"\frac{a}{b}", r"\left\{x\middle|y\right)^2", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\sqrt[3]{x}\ne y",
    r"\lim_{n\to\infty}\sum_{i=1}^n", r"\text{if } x \dots + \hat{y}", r"\binom{n}{k}\bigl(\overline{ab}\bigr)",
    r"\begin{array}{c|c}a&b\\\hline c&d\end{array}", r"\begin{cases}a\\b\end{cases}", r"\overbrace{a+b}^{n}\pmod{m}",
    r"\mathbf{x}\mathcal{L}\mathbb{R}\operatorname{rank} A", r"x'^2_i \not\in \boxed{y}",
    r"\stackrel{a}{=}\xrightarrow[b]{c}",
)  # fmt: skip


@has_tex
def test_both_renderers_show_the_same_tokens_in_nearly_the_same_boxes():
    pictures, reasons = tex_pictures(FORMULAS)
    assert reasons == {}
    for formula in FORMULAS:
        ours, tex = picture(formula), pictures[formula]
        assert [token.name for token in tex.tokens] == [token.name for token in ours.tokens], formula
        assert np.abs(tex.boxes_N4 - ours.boxes_N4).max() < 25, formula


@has_tex
def test_pictures_by_tex_are_matched_as_our_own_are():
    pictures, _ = tex_pictures([r"\sqrt{n}y", r"\sqrt{ny}", "x^2", "x2"])
    assert cdm(r"\sqrt{n}y", r"\sqrt{ny}", pictures=pictures) == cdm(r"\sqrt{n}y", r"\sqrt{ny}")
    assert cdm("x^2", "x2", pictures=pictures).f1 == 0.5


@has_tex
def test_rows_that_tex_can_not_draw_are_drawn_by_our_own_layout_and_counted():
    scored = score_pairs(["x^2", "中"], ["x^{2}", "中"], metrics="cdm_f1", renderer="tex")
    assert scored.scores.values["cdm_f1"].value == 1.0
    assert scored.to_json()["renderer"] == {"name": "tex", "rows_in_own_layout": 1}


def test_an_unknown_renderer_is_reported():
    with pytest.raises(ConfigError, match="no renderer is named 'katex'"):
        score_pairs(["x"], ["x"], renderer="katex")


def test_the_reference_rules_have_their_rows_in_own_layout():
    with pytest.raises(ConfigError, match="goes with --cdm default alone"):
        score_pairs(["x"], ["x"], renderer="tex", cdm="reference")
