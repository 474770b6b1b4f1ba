"""Formula in, picture out: for reports, the web page and the command line."""

from functools import lru_cache
from io import BytesIO

from texlens.latex.layout.boxes import Layout
from texlens.latex.layout.formula import layout
from texlens.latex.render.raster import draw
from texlens.latex.render.svg import to_svg


@lru_cache(maxsize=1024)
def render_png(
    formula: str,
    *,
    font: str = "latin-modern",
    pixels_per_em: float = 24.0,
    padding: float = 4.0,
    display: bool = True,
) -> bytes:
    """The bytes of a gray PNG, black on white.

    Raises:
        LatexError: the formula can't be parsed, or the picture would be too large.
    """
    return png_of(layout(formula, font=font, display=display), pixels_per_em, padding)


def png_of(drawn: Layout, pixels_per_em: float, padding: float = 4.0) -> bytes:
    """The bytes of a layout's gray PNG.

    Raises:
        LatexError: the picture would be too large.
    """
    buffer = BytesIO()
    draw(drawn, pixels_per_em, padding=padding).save(buffer, "PNG")
    return buffer.getvalue()


@lru_cache(maxsize=1024)
def render_svg(formula: str, *, font: str = "latin-modern", color: str = "currentColor", display: bool = True) -> str:
    """An `<svg>` element, sized in em.

    Raises:
        LatexError: the formula can't be parsed.
    """
    return to_svg(layout(formula, font=font, display=display), color)
