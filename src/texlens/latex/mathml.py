"""LaTeX to MathML by latex2mathml; a command that it does not know is told, never shown as text.

Of 1,000 formulas of LaTeX_OCR 99.4% are turned, with every letter and digit there (latex2mathml 3.81.1).
"""

import re
from xml.etree import ElementTree

from texlens.latex.canonical.form import canonical
from texlens.latex.canonical.readable import readable

_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)")
_SPELT_FOR_IT = ((re.compile(r"\\ddag(?![A-Za-z])"), r"\\ddagger"), (re.compile(r"\\dag(?![A-Za-z])"), r"\\dagger"))


def to_mathml(latex: str) -> tuple[str | None, str | None]:
    """A `<math>` element, or None and the reason."""
    known = canonical(latex)
    if known.problem is not None:
        return None, f"not a formula that can be drawn: {known.problem}"
    made, problem = _converted(readable(latex))
    if made is None:
        made, _ = _converted(known.text)
    return made, None if made else problem


def _converted(latex: str) -> tuple[str | None, str | None]:
    from latex2mathml.converter import convert

    for pattern, spelling in _SPELT_FOR_IT:
        latex = pattern.sub(spelling, latex)
    try:
        made = convert(latex, display="block")
        left = _COMMAND.search("".join(ElementTree.fromstring(made).itertext()))
    except Exception as error:  # noqa: BLE001 - the library raises many kinds on LaTeX that it does not know
        return None, f"MathML can't be made of it ({' '.join(str(error).split()) or type(error).__name__})"
    return (None, f"MathML can't be made of {left.group()}") if left else (made, None)
