"""Runs of TeX itself; skipped where TeX Live is not installed."""

import pytest

from texlens.latex.layout.formula import layout
from texlens.latex.tex import run
from texlens.latex.tex.dvi import DviGlyph
from texlens.latex.tex.layout import tex_layout
from texlens.latex.tex.run import typeset

pytestmark = pytest.mark.skipif(not run.is_installed(), reason="TeX Live is not installed")


def letters(page):
    return "".join(chr(mark.code) for mark in page if isinstance(mark, DviGlyph))


def test_a_page_for_each_formula_and_a_reason_where_there_is_none():
    first, second, third = typeset(["x", r"\nosuchcommand", "y+z"])
    assert (letters(first), second, letters(third)) == ("x", "TeX: Undefined control sequence.", "y+z")


def test_tex_goes_on_after_hundreds_of_errors():
    pages = typeset([r"\nosuchcommand"] * 250 + ["x"])
    assert letters(pages[-1]) == "x"


def test_tex_goes_on_with_the_next_formula_where_one_stops_it():
    groups = "{" * 300 + "x" + "}" * 300
    pages = typeset(["a", groups, "b"])
    assert (letters(pages[0]), letters(pages[2])) == ("a", "b")
    assert isinstance(pages[1], str)


def test_code_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(run, "CPU_S", 1)
    pages = typeset(["a", r"\def\x{\x}\x", "b"])
    assert (letters(pages[0]), letters(pages[2])) == ("a", "b")
    assert isinstance(pages[1], str)


def test_even_code_of_ours_could_not_read_write_or_run(tmp_path):
    """None of this is ever printed; TeX is bound all the same."""
    secret, output = tmp_path / "secret.tex", tmp_path / "made.tex"
    secret.write_text("q")
    pages = typeset(
        [
            rf"\input{{{secret}}}",
            rf"\immediate\openout3={output} \immediate\write3{{x}}",
            rf"\immediate\write18{{touch {output}}}",
        ]
    )
    assert isinstance(pages[0], str) or "q" not in letters(pages[0])
    assert not output.exists()


def test_tex_and_our_own_layout_put_a_formula_into_nearly_the_same_place():
    formula = r"\frac{a^2}{\sqrt{b+c}}=\left(\sum_{i=1}^n x_i\right)"
    ours, theirs = layout(formula), tex_layout(formula)
    assert len(ours.glyphs) == len(theirs.glyphs)
    assert theirs.width == pytest.approx(ours.width, abs=0.5)
    assert theirs.height == pytest.approx(ours.height, abs=0.2)
