"""TeX's own fonts: widths from their TFM files, outlines from their Type 1 files, both found by kpsewhich."""

import subprocess
from functools import cache
from pathlib import Path

from texlens.core.errors import LatexError
from texlens.latex.layout.fonts import FontFile, add_font

PREFIX = "tex-"
_ADOBE_CUSTOM = 0x41444243  # FreeType's 'ADBC': the encoding that the font itself has, which is TeX's


class TexFont(FontFile):
    """A Type 1 font by TeX's character codes."""

    def __init__(self, name: str, path: str):
        super().__init__(PREFIX + name, path)
        self.face.select_charmap(_ADOBE_CUSTOM)

    def code(self, code: int) -> int:
        """The glyph of a character code; 0 where there is none."""
        return self.face.get_char_index(code)


@cache
def tex_font(name: str) -> TexFont:
    """A font of TeX Live by the name that a DVI file has for it.

    Raises:
        LatexError: TeX Live has no outlines of that font.
    """
    path = _path_of(f"{name}.pfb")
    if path is None:
        raise LatexError(f"TeX Live has no outlines of font {name}; install amsfonts (Debian: texlive-latex-base)")
    font = TexFont(name, path)
    add_font(font)
    return font


def width_of(name: str, code: int) -> float:
    """The width of a character as a share of the font's size; 0 where the font lacks it."""
    return _widths(name).get(code, 0.0)


@cache
def _widths(name: str) -> dict[int, float]:
    path = _path_of(f"{name}.tfm")
    if path is None:
        raise LatexError(f"TeX Live has no metrics of font {name}")
    return tfm_widths(Path(path).read_bytes())


def tfm_widths(data: bytes) -> dict[int, float]:
    """Widths by character code (Knuth, TFtoPL): a header, a word a character, then the table of widths."""
    header, first, last = (int.from_bytes(data[at : at + 2], "big") for at in (2, 4, 6))
    characters = 24 + 4 * header
    widths = characters + 4 * (last - first + 1)

    def width(index: int) -> float:
        return int.from_bytes(data[widths + 4 * index : widths + 4 * index + 4], "big", signed=True) / 2**20

    indices = {code: data[characters + 4 * (code - first)] for code in range(first, last + 1)}
    return {code: width(index) for code, index in indices.items() if index}


@cache
def _path_of(file: str) -> str | None:
    try:
        done = subprocess.run(["kpsewhich", file], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
