"""`texlens render`"""

from pathlib import Path
from typing import Annotated

import typer


def render(
    formula: Annotated[str, typer.Argument(metavar="FORMULA", help="LaTeX math; - reads it from standard input.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The picture: .png or .svg.")],
    font: Annotated[str, typer.Option(help="latin-modern, termes, pagella, schola or stix.")] = "latin-modern",
    scale: Annotated[
        float | None, typer.Option(min=1, max=2000, help="Pixels of a PNG to an em; default 48. An SVG has none.")
    ] = None,
    inline: Annotated[bool, typer.Option("--inline", help="Set as in a line of text, not as a display.")] = False,
) -> None:
    r"""Draw a formula, without TeX and without a network.

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

    from texlens.latex.render import render_png, render_svg

    text = typer.get_text_stream("stdin").read() if formula == "-" else formula
    if kind == ".png":
        out.write_bytes(render_png(text, font=font, pixels_per_em=scale or 48.0, display=not inline))
    else:
        out.write_text(render_svg(text, font=font, display=not inline) + "\n", encoding="utf-8")
    typer.echo(out)
