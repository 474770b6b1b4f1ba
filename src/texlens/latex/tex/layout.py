"""A formula laid out by TeX, as the same `Layout` that our own engine makes."""

from functools import lru_cache

from texlens.core.errors import LatexError
from texlens.latex.layout.boxes import Layout, PlacedGlyph, PlacedRule, glyph_box
from texlens.latex.parse.parser import parse
from texlens.latex.tex.dvi import DviGlyph, DviItem, DviRule, DviSpecial
from texlens.latex.tex.fonts import tex_font
from texlens.latex.tex.run import typeset
from texlens.latex.tex.source import marked_source

EM_PT = 12.0


@lru_cache(maxsize=1024)
def tex_layout(formula: str, *, display: bool = True) -> Layout:
    """Where TeX puts every glyph and rule, in em.

    Raises:
        LatexError: the formula does not parse, TeX can't set it, or TeX Live is not installed.
    """
    (page,) = typeset([marked_source(parse(formula))[0]], display=display)
    if isinstance(page, str):
        raise LatexError(page)
    return layout_of(page)


def layout_of(items: list[DviItem]) -> Layout:
    """Marks of one page as a layout whose baseline is at 0."""
    ends = {item.text[-1]: item for item in items if isinstance(item, DviSpecial) and item.text[:-1] == "texlens:"}
    start = ends["<"]
    width = (ends[">"].x_pt - start.x_pt) / EM_PT if ">" in ends else 0.0
    glyphs = tuple(placed_glyph(item, start) for item in items if isinstance(item, DviGlyph))
    rules = tuple(placed_rule(item, start) for item in items if isinstance(item, DviRule))
    extents = [*map(glyph_box, glyphs), *((r.x, r.y, r.x + r.width, r.y + r.height) for r in rules)]
    height, depth = max((top for *_, top in extents), default=0.0), -min((low for _, low, _, _ in extents), default=0.0)
    return Layout(width, max(height, 0.0), max(depth, 0.0), glyphs, rules)


def placed_glyph(item: DviGlyph, start: DviSpecial) -> PlacedGlyph:
    font = tex_font(item.font)
    x, y = (item.x_pt - start.x_pt) / EM_PT, (item.y_pt - start.y_pt) / EM_PT
    return PlacedGlyph(chr(item.code), font.name, font.code(item.code), x, y, item.size_pt / EM_PT, "")


def placed_rule(item: DviRule, start: DviSpecial) -> PlacedRule:
    x, y = (item.x_pt - start.x_pt) / EM_PT, (item.y_pt - start.y_pt) / EM_PT
    return PlacedRule(x, y, item.width_pt / EM_PT, item.height_pt / EM_PT, "")
