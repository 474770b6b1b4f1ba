"""A layout as SVG: outlines as paths, each glyph defined once."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from xml.sax.saxutils import quoteattr

from freetype.raw import FT_Load_Glyph

from texlens.latex.layout.boxes import Layout, PlacedRule
from texlens.latex.layout.fonts import LOAD_UNSCALED, MISSING, FontFile, font_file
from texlens.latex.render.raster import dashes, frame

_UNITS = 1000


def to_svg(
    layout: Layout,
    color: str = "currentColor",
    *,
    glyph_colors: Mapping[int, str] = MappingProxyType({}),
    rule_colors: Mapping[int, str] = MappingProxyType({}),
) -> str:
    """An `<svg>` element sized in em, so that it follows the text around it; needs no font where it is shown.

    It sits on the baseline of a line of text. Ids within it are made of font and glyph, the same in every picture, so
    several may be on one page. `glyph_colors` and `rule_colors` map an index to its own color.
    """
    left, bottom, right, top = layout.ink_box(0.02)
    defined: dict[str, str] = {}
    shapes = []
    for index, (_, font, glyph, x, y, size, _) in enumerate(layout.glyphs):
        if font == MISSING:
            shapes += [_rectangle(side, glyph_colors.get(index)) for side in frame(glyph, x, y, size)]
            continue
        name = f"{font}-{glyph}"
        if name not in defined:
            defined[name] = f'<path id="{name}" d="{_outline(font, glyph)}"/>'
        transform = f'transform="translate({_number(x)} {_number(-y)}) scale({size / _UNITS:.6g})"'
        shapes.append(f'<use{_fill(glyph_colors.get(index))} href="#{name}" {transform}/>')
    for index, rule in enumerate(layout.rules):
        shapes += [_rectangle(part, rule_colors.get(index)) for part in dashes(rule)]
    for line in layout.lines:
        ends = f'x1="{_number(line.x)}" y1="{_number(-line.y)}" x2="{_number(line.x + line.dx)}"'
        ends += f' y2="{_number(-line.y - line.dy)}"'
        shapes.append(f'<line {ends} stroke="currentColor" stroke-width="{_number(line.thickness)}"/>')
    box = f"{_number(left)} {_number(-top)} {_number(right - left)} {_number(top - bottom)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{_number(right - left)}em" '
        f'height="{_number(top - bottom)}em" style="vertical-align:{_number(bottom)}em" fill={quoteattr(color)}>'
        f"<defs>{''.join(defined.values())}</defs>{''.join(shapes)}</svg>"
    )


def _rectangle(rule: PlacedRule, color: str | None) -> str:
    position = f'x="{_number(rule.x)}" y="{_number(-rule.y - rule.height)}"'
    extent = f'width="{_number(rule.width)}" height="{_number(rule.height)}"'
    return f"<rect{_fill(color)} {position} {extent}/>"


def _fill(color: str | None) -> str:
    return f" fill={quoteattr(color)}" if color else ""


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"


@lru_cache(maxsize=8192)
def _outline(font: str, glyph: int) -> str:
    """Path data with y down, in thousandths of an em."""
    file = font_file(font)
    assert isinstance(file, FontFile)
    scale = _UNITS * file.em
    parts: list[str] = []

    def point(vector: tuple[float, float] | object) -> str:
        return f"{round(vector.x * scale)} {round(-vector.y * scale)}"  # type: ignore[union-attr]

    def move(to: object, _: object) -> None:
        parts.append(("Z" if parts else "") + f"M{point(to)}")

    def line(to: object, _: object) -> None:
        parts.append(f"L{point(to)}")

    def conic(control: object, to: object, _: object) -> None:
        parts.append(f"Q{point(control)} {point(to)}")

    def cubic(first: object, second: object, to: object, _: object) -> None:
        parts.append(f"C{point(first)} {point(second)} {point(to)}")

    with file.lock:
        FT_Load_Glyph(file.face._FT_Face, glyph, LOAD_UNSCALED)
        file.face.glyph.outline.decompose(None, move_to=move, line_to=line, conic_to=conic, cubic_to=cubic)
    return "".join(parts) + ("Z" if parts else "")
