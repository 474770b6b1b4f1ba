"""`texlens render`"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from texlens.cli.shared import visible
from texlens.core.language import translated


def render(
    formula: Annotated[str, typer.Argument(metavar="FORMULA", help="LaTeX math; - reads it from standard input.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The picture: .png or .svg.")],
    font: Annotated[str, typer.Option(help="latin-modern, termes, pagella, schola or stix.")] = "latin-modern",
    scale: Annotated[
        float | None, typer.Option(min=1, max=2000, help="Pixels of a PNG to an em; default 48. An SVG has none.")
    ] = None,
    engine: Annotated[
        Literal["own", "tex"], typer.Option(help="The layout engine: own, or tex where TeX Live is installed.")
    ] = "own",
    inline: Annotated[bool, typer.Option("--inline", help="Set in text style instead of display style.")] = False,
) -> None:
    r"""Draw a formula, without TeX (unless --engine tex) and without a network.

    Examples:

        texlens render '\frac{a}{b}' -o fraction.svg

        texlens render 'E = mc^2' -o energy.png --font termes --scale 96
    """
    from texlens.core.errors import ConfigError, DataError

    kind = out.suffix.lower()
    if kind not in (".png", ".svg"):
        raise ConfigError(f"--out {out}: a picture's name ends in .png or .svg")
    if kind == ".svg" and scale is not None:
        raise ConfigError("--scale counts pixels, and an SVG has none; leave it out, or write a .png")
    if not out.parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")

    if engine == "tex" and font != "latin-modern":
        raise ConfigError(f"--font {font}: TeX draws with Computer Modern; leave it out, or --engine tex")

    from texlens.latex.render.formats import png_of, render_png, render_svg
    from texlens.latex.render.svg import to_svg

    text = typer.get_text_stream("stdin").read() if formula == "-" else formula
    if engine == "tex":
        from texlens.latex.tex.layout import tex_layout

        drawn = tex_layout(text, display=not inline)
        if kind == ".png":
            out.write_bytes(png_of(drawn, scale or 48.0))
        else:
            out.write_text(to_svg(drawn) + "\n", encoding="utf-8")
    elif kind == ".png":
        out.write_bytes(render_png(text, font=font, pixels_per_em=scale or 48.0, display=not inline))
    else:
        out.write_text(render_svg(text, font=font, display=not inline) + "\n", encoding="utf-8")
    if engine == "own":
        from texlens.latex.layout.fonts import missing_note
        from texlens.latex.layout.formula import layout

        if missing := layout(text, font=font, display=not inline).missing:
            typer.echo(visible(translated(missing_note(missing))), err=True)
    typer.echo(visible(str(out)))
