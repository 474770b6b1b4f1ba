r"""Words and units within formulas: `\mathrm { k g }` for one word, `\text{for all}` where a space is within."""

import random
from collections.abc import Callable

from texlens.latex.generate.alphabet import LATIN, words

Fill = Callable[[random.Random, int], str]

_UNITS = words(
    "m cm mm km kg g mg s ms min h Hz kHz MHz GHz N kN J kJ W kW MW V mV A mA K mol L mL Pa kPa MPa bar eV keV MeV GeV "
    "TeV T rad dB ppm nm ps fs pc Mpc yr cal F C Wb lm lx Bq Gy Sv"
)
_WORDS = words(
    "if for with and or when where otherwise else such that all some each every any is not the of on in at to from by "
    "const constant error loss total max min eff out ref obs true false train test data model input output signal "
    "noise rate mean var cov corr sign rank span diag prob even odd prime real free first second sum log lin rel "
    "abs int ext up down left right new old init final step time energy mass force power area volume speed"
)
_PHRASES = (
    *("for all", "such that", "if and only if", "as long as", "for some", "for each", "for every", "so that"),
    *("subject to", "almost surely", "with probability", "in the limit", "up to", "at most", "at least", "less than"),
    *("per unit", "on average", "otherwise", "if", "and", "where", "for", "with"),
)
_CONDITIONS = ("=", "<", ">", "\\leq", "\\geq", "\\neq", "\\in", "\\notin", "\\rightarrow")


def spelled(word: str) -> str:
    r"""`\mathrm { k g }`."""
    return "\\mathrm { " + " ".join(word) + " }"


def phrase(rng: random.Random) -> str:
    """Words as text: known ones, or letters at random so that they can't be guessed."""
    if rng.random() < 0.3:
        count = rng.choice((1, 2, 2, 3))
        text = " ".join("".join(rng.choice(LATIN[:26]) for _ in range(rng.randint(2, 7))) for _ in range(count))
    elif rng.random() < 0.5:
        text = " ".join(rng.choice(_WORDS) for _ in range(rng.choice((1, 2, 2, 3))))
    else:
        text = rng.choice(_PHRASES)
    if rng.random() < 0.1:
        text = text.capitalize()
    return f"\\text{{{text}}}" if " " in text else spelled(text)


def quantity(rng: random.Random) -> str:
    """A number with a unit."""
    digits = " ".join(str(rng.randint(0, 9)) for _ in range(rng.choice((1, 1, 2, 3))))
    if rng.random() < 0.4:
        digits += " . " + " ".join(str(rng.randint(0, 9)) for _ in range(rng.choice((1, 2, 2, 3))))
    if rng.random() < 0.2:
        digits += f" \\times 1 0 ^ {{ {rng.choice(('', '- '))}{rng.randint(1, 23)} }}".replace("  ", " ")
        digits = " ".join(digits.split())
    unit = spelled(rng.choice(_UNITS))
    roll = rng.random()
    if roll < 0.2:
        unit += f" / {spelled(rng.choice(_UNITS))}"
    elif roll < 0.4:
        unit += f" ^ {{ {rng.choice(('2', '3', '- 1', '- 2'))} }}"
    return f"{digits} ~ {unit}"


def condition(rng: random.Random, fill: Fill) -> str:
    """What stands behind a line of cases."""
    if rng.random() < 0.15:
        return spelled("otherwise")
    text = f"{fill(rng, rng.randint(1, 4))} {rng.choice(_CONDITIONS)} {fill(rng, rng.randint(1, 4))}"
    return text if rng.random() < 0.35 else f"{spelled(rng.choice(('if', 'if', 'for', 'when')))} ~ {text}"


def with_words(rng: random.Random, fill: Fill) -> str:
    """A formula with a phrase, a worded index or a quantity in it."""
    roll = rng.random()
    if roll < 0.4:
        return f"{fill(rng, rng.randint(1, 12))} \\quad {phrase(rng)} \\quad {fill(rng, rng.randint(1, 12))}"
    if roll < 0.65:
        index = f"{rng.choice(LATIN)} _ {{ {spelled(rng.choice(_WORDS))} }}"
        return f"{index} {rng.choice(('=', '+', '-', '<'))} {fill(rng, rng.randint(1, 14))}"
    if roll < 0.9:
        return f"{fill(rng, rng.randint(1, 8))} = {quantity(rng)}"
    return f"{spelled(rng.choice(_WORDS).capitalize())} = {fill(rng, rng.randint(1, 10))}"
