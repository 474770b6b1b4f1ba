"""Math fonts that pre-training draws with beside the bundled ones, and the commands that each of them does not show.

They are registered from a folder and never committed; docs/explanation/nano-model.md says which packages have them.
"""

from pathlib import Path

from texlens.latex.layout.fonts import FONT_NAMES, register_math_font

EXTRA = {
    "asana": "Asana-Math.otf",
    "bonum": "texgyrebonum-math.otf",
    "charter": "XCharter-Math.otf",
    "dejavu": "texgyredejavu-math.otf",
    "erewhon": "Erewhon-Math.otf",
    "euler": "Euler-Math.otf",
    "fira": "FiraMath-Regular.otf",
    "garamond": "Garamond-Math.otf",
    "kp": "KpMath-Regular.otf",
    "kp-bold": "KpMath-Bold.otf",
    "kp-light": "KpMath-Light.otf",
    "kp-sans": "KpMath-Sans.otf",
    "kp-sans-bold": "KpMath-SansBold.otf",
    "libertinus": "LibertinusMath-Regular.otf",
    "newcm-book": "NewCMMath-Book.otf",
}
"""Name here → file."""
WEIGHTS = {
    "latin-modern": 28, "newcm-book": 5, "termes": 13, "stix": 11, "pagella": 4, "schola": 5, "dejavu": 14, "fira": 7,
    "libertinus": 4, "bonum": 4, "charter": 4, "asana": 2, "erewhon": 2, "euler": 1, "garamond": 1.5,
    "kp": 1, "kp-light": 1, "kp-bold": 3, "kp-sans": 4, "kp-sans-bold": 2,
}  # fmt: skip
"""How often each font is taken."""
_SANS = frozenset(["\\mathsf", "\\tt", "\\mathtt", "\\texttt"])
_BOLD = frozenset(["\\bf", "\\mathbf", "\\boldsymbol", "\\bm"])
_EULER = frozenset(["\\mathrm", "\\mathscr", "\\cal", "\\mathcal", "\\mit", "\\text"])
INDISTINCT = {
    "fira": _SANS, "kp-sans": _SANS, "kp-sans-bold": _SANS | _BOLD, "kp-bold": _BOLD, "euler": _EULER,
}  # fmt: skip
"""Font → commands that change nothing visible in it: no formula with them is drawn with it."""


def register(folder: Path | None) -> dict[str, float]:
    """Weights of the fonts that can be drawn with: the bundled ones, and the files of `EXTRA` in the folder."""
    names = set(FONT_NAMES)
    for name, file in EXTRA.items() if folder else ():
        assert folder
        if (folder / file).is_file():
            register_math_font(name, folder / file)
            names.add(name)
    return {name: weight for name, weight in WEIGHTS.items() if name in names}


def shows(font: str, tokens: list[str]) -> bool:
    """Whether every command of a formula is visible in the font."""
    return INDISTINCT.get(font, frozenset()).isdisjoint(tokens)
