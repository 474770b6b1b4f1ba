r"""Typed Unicode characters as LaTeX commands, so that `∑` and `\sum` mean the same everywhere.

`COMMAND_OF` maps a character to its token, its math alphabet and whether it is bold: `𝐱` is (`x`, "bf", False).
"""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.alphabets import styled

_ALPHABETS = ("bf", "cal", "bb", "frak", "sf", "tt")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_CHOSEN = {"…": "\\ldots", "·": "\\cdot", "∥": "\\parallel", "∅": "\\emptyset", "⊥": "\\bot", "⟂": "\\perp"}
"""Where several commands draw one character and the first of the table is not the usual one."""

SCRIPTS: dict[str, str] = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "0123456789+-=()ni", strict=True))
SUBSCRIPTS: dict[str, str] = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎", "0123456789+-=()", strict=True))
PRIMES = {"′": 1, "″": 2, "‴": 3, "⁗": 4}


def _commands() -> dict[str, tuple[str, str, bool]]:
    table: dict[str, tuple[str, str, bool]] = {}
    for token, (character, _) in sym.SYMBOLS.items():
        if len(character) == 1 and not character.isascii():
            table.setdefault(character, (token, "", False))
    table |= {character: (token, "", False) for character, token in _CHOSEN.items()}
    for alphabet in _ALPHABETS:
        for letter in _LETTERS:
            drawn = styled(letter, alphabet, False)
            if not drawn.isascii():
                table[drawn] = (letter, alphabet, False)
    for letter in _LETTERS:
        drawn = styled(letter, "", True)
        if not drawn.isascii():
            table.setdefault(drawn, (letter, "", True))
    table |= {styled(letter, "", False): (letter, "", False) for letter in _LETTERS if letter.isalpha()}
    for token, (character, _) in sym.SYMBOLS.items():
        for is_bold in (False, True):
            drawn = styled(character, "", is_bold) if len(character) == 1 else character
            if drawn != character and drawn not in table:
                table[drawn] = (token, "", is_bold)
    return table


COMMAND_OF = _commands()
