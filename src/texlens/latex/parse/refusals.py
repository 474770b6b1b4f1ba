"""What a refusal says: the fault and its remedy."""

import unicodedata

from texlens.latex.parse.symbol_nodes import BETWEEN_ROWS

_REMEDIES = {
    "\\\\": r"`\\` ends a line, which is not possible here; use \substack{…} or an environment such as array",
    "\\cr": r"`\cr` ends a line, which is not possible here; use \substack{…} or an environment such as array",
    "\\middle": r"`\middle` is not directly between `\left` and `\right`; move it there, or write \big|",
    "\\right": r"`\right` has no `\left` in this group; add one, or remove it",
    "\\ce": r"chemical formulas in `\ce` can't be read; write them in math, such as \mathrm{H_2O}",
    "\\pu": r"quantities in `\pu` can't be read; write them in math, such as 5\,\mathrm{m}",
    "\\xymatrix": r"`\xymatrix` is a diagram, which can't be drawn; write it as an array with arrows",
    "\\of": r"`\of` belongs to `\root`; write \sqrt[n]{x}",
}
_REMEDIES |= dict.fromkeys(
    ("\\footnote", "\\thanks", "\\footnotemark"), "a footnote has text outside of the formula; remove it"
)
_REMEDIES |= {token: f"`{token}` is only possible at the start of a line of a table" for token in BETWEEN_ROWS}
_DIAGRAMS = frozenset(["CD", "tikzcd", "tikzpicture", "picture", "xy", "diagram"])


def unknown_command(text: str) -> str:
    if text.startswith("\\end{"):
        return f"`{text}` closes nothing that is open"
    return _REMEDIES.get(text, f"unknown command `{text}`")


def unknown_environment(name: str) -> str:
    if name in _DIAGRAMS:
        return f"environment `{name}` is a diagram, which can't be drawn; write it as an array with arrows"
    return f"unknown environment `{name}`"


def out_of_place(text: str) -> str:
    if text.isprintable():
        return f"`{text}` does not belong here; write \\{text} for the character"
    name = unicodedata.name(text, "control character").lower()
    return f"invisible character U+{ord(text):04X} ({name}); remove it"
