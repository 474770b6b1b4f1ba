"""LaTeX to MathML by latex2mathml; what it can't do is told, never guessed."""

from xml.etree import ElementTree

from texlens.latex.canonical import canonical


def to_mathml(latex: str) -> tuple[str | None, str | None]:
    """A `<math>` element, or None and the reason."""
    from latex2mathml.converter import convert

    problem = canonical(latex).problem
    if problem is not None:
        return None, f"not a formula that can be drawn: {problem}"
    try:
        made = convert(latex, display="block")
        ElementTree.fromstring(made)
    except Exception as error:  # noqa: BLE001 - the library raises many kinds on LaTeX that it does not know
        return None, f"MathML can't be made of it ({' '.join(str(error).split()) or type(error).__name__})"
    return made, None
