"""The drawn formulas with CDM's errors: glyphs and rules without a match are colored."""

from collections.abc import Sequence

from texlens.latex.layout.formula import layout
from texlens.latex.render.svg import to_svg
from texlens.metrics.cdm.ink_groups import ink_groups
from texlens.metrics.cdm.score import matching
from texlens.metrics.cdm.visible_tokens import VisibleToken

MISSED = "#b35900"
WRONG = "#d1003f"


def differences_svg(reference: str, text: str) -> tuple[str, str]:
    """The reference with missed tokens colored, and the text with wrong tokens colored, as SVG.

    Raises:
        LatexError: either can't be drawn.
    """
    matched = matching(reference, text)
    right = {row for row, _ in matched.pairs}
    right_of_text = {column for _, column in matched.pairs}
    return (
        _colored(
            reference, [token for index, token in enumerate(matched.reference.tokens) if index not in right], MISSED
        ),
        _colored(text, [token for index, token in enumerate(matched.text.tokens) if index not in right_of_text], WRONG),
    )


def _colored(formula: str, tokens: Sequence[VisibleToken], color: str) -> str:
    chosen = {ink for token in tokens for ink in token.inks}
    if not chosen:
        return to_svg(layout(formula))
    is_glyph = {
        number: bool(character)
        for group in ink_groups(formula)
        for number, (character, _) in zip(group.numbers, group.inks, strict=True)
    }
    glyphs = [number for number in sorted(is_glyph) if is_glyph[number]]
    rules = [number for number in sorted(is_glyph) if not is_glyph[number]]
    return to_svg(
        layout(formula),
        glyph_colors={index: color for index, number in enumerate(glyphs) if number in chosen},
        rule_colors={index: color for index, number in enumerate(rules) if number in chosen},
    )
