import sys
from types import SimpleNamespace

import pytest
from PIL import Image
from pretraining.wide import katex, ziamath

SVG = '<svg><path id="a"/><use href="#a"/></svg>'


@pytest.mark.parametrize(
    ("label", "spelled"),
    [
        ("{ \\cal L } = x", "\\mathcal { L } = x"),
        ("{ \\rm e f f } _ 1", "\\mathrm { e f f } _ 1"),
        ("{ \\bf x }", None),
        ("\\hat { x }", None),
        ("\\sqrt [ 3 ] { x }", None),
        ("a & b", None),
    ],
)
def test_only_formulas_that_it_sets_as_tex_does_are_taken(label, spelled):
    assert ziamath.spelled_for_ziamath(label) == spelled


def test_rows_have_the_label_as_it_was_and_formulas_that_fail_are_left_out(monkeypatch):
    def set_formula(text, **_):
        if "y" in text:
            raise ValueError("no")
        return SimpleNamespace(svg=lambda: SVG)

    def photograph(htmls, size_px, css, chromium):
        assert htmls == ['<svg><path id="z0-a"/><use href="#z0-a"/></svg>']
        width, height = (side * size_px for side in katex._CELL_EM)
        sheet = Image.new("L", (width, height), 255)
        sheet.paste(0, (40, 40, 60, 60))
        return sheet

    monkeypatch.setitem(sys.modules, "ziamath", SimpleNamespace(Latex=set_formula))
    monkeypatch.setattr(katex, "photograph", photograph)
    [row] = ziamath.page_rows(["{ \\cal L }", "y"], "font.otf", 16, "chromium")
    assert (row["text"], row["px_per_em"], row["engine"]) == ("{ \\cal L }", 16, "ziamath")
