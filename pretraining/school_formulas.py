r"""Formulas of school mathematics, generated at random: the labels of the handwriting demo.

`school_formula(rng)` is a label in LaTeX_OCR's style, of 3 to about 25 tokens, from the symbols that people write most.
"""

import random
from collections.abc import Callable

LETTERS = tuple("xyzabcnkmtxyabnuvpqrwsdghfijeABCFGLMNPRSTXYVEDH")
GREEK = (
    *("\\alpha", "\\beta", "\\gamma", "\\theta", "\\lambda", "\\pi", "\\mu", "\\sigma", "\\phi", "\\omega", "\\Delta"),
    *("\\alpha", "\\theta", "\\pi"),
)
RELATIONS = ("=", "=", "=", "=", "=", "<", ">", "\\leq", "\\geq", "\\neq", "\\rightarrow")
SIGNS = ("+", "+", "+", "-", "-", "-", "\\times", "\\cdot", "\\pm", "\\div")
FUNCTIONS = ("\\sin", "\\cos", "\\tan", "\\log")
INDICES = ("i", "j", "k", "n", "m", "0", "1", "2", "3")
POWERS = ("2", "2", "2", "3", "4", "n", "k", "x", "- 1", "n + 1", "2 n", "n - 1")
UPPER_LIMITS = ("1", "b", "x", "\\pi", "\\infty")


def school_formula(rng: random.Random) -> str:
    """One formula."""
    maker = rng.choices(tuple(_FORMULAS), tuple(_FORMULAS.values()))[0]
    return maker(rng)


def letter(rng: random.Random) -> str:
    return rng.choice(GREEK) if rng.random() < 0.16 else rng.choice(LETTERS)


def number(rng: random.Random) -> str:
    """One to three digits, seldom with a decimal point."""
    digits = [str(rng.randint(1, 9))] + [str(rng.randint(0, 9)) for _ in range(rng.choice((0, 0, 0, 1, 1, 2)))]
    if rng.random() < 0.06:
        digits += [".", str(rng.randint(1, 9))]
    return " ".join(digits)


def power(rng: random.Random) -> str:
    return f"{letter(rng)} ^ {{ {rng.choice(POWERS)} }}"


def indexed(rng: random.Random) -> str:
    text = f"{letter(rng)} _ {{ {rng.choice(INDICES)} }}"
    return f"{text} ^ {{ {rng.choice(('2', '3', 'n'))} }}" if rng.random() < 0.15 else text


def fraction(rng: random.Random) -> str:
    above, below = (sum_of(rng, 2) if rng.random() < 0.35 else factor(rng) for _ in range(2))
    return f"\\frac {{ {above} }} {{ {below} }}"


def factor(rng: random.Random) -> str:
    """Something small: a letter, a number, a power or a product of two."""
    roll = rng.random()
    if roll < 0.38:
        return letter(rng)
    if roll < 0.6:
        return number(rng)
    if roll < 0.75:
        return power(rng)
    if roll < 0.86:
        return indexed(rng)
    return f"{rng.randint(2, 9)} {letter(rng)}" if roll < 0.95 else f"{letter(rng)} {letter(rng)}"


def root(rng: random.Random) -> str:
    return f"\\sqrt {{ {sum_of(rng, 2) if rng.random() < 0.5 else factor(rng)} }}"


def function(rng: random.Random) -> str:
    name = rng.choice(FUNCTIONS)
    roll = rng.random()
    if name == "\\log" and roll < 0.4:
        name += f" _ {{ {rng.choice(('2', 'a', '3', 'b'))} }}"
    elif roll < 0.2:
        name += " ^ { 2 }"
    return f"{name} ( {sum_of(rng, 2)} )" if rng.random() < 0.25 else f"{name} {letter(rng)}"


def bracketed(rng: random.Random) -> str:
    text = f"( {sum_of(rng, 2)} )"
    return f"{text} ^ {{ {rng.choice(('2', '3', 'n'))} }}" if rng.random() < 0.4 else text


def term(rng: random.Random) -> str:
    makers = (factor, fraction, root, function, bracketed)
    return rng.choices(makers, (70, 10, 7, 7, 6))[0](rng)


def sum_of(rng: random.Random, terms: int) -> str:
    """Factors with signs between them."""
    text = factor(rng)
    for _ in range(terms - 1):
        text += f" {rng.choice(SIGNS)} {factor(rng)}"
    return text


def side(rng: random.Random) -> str:
    """One to three terms, of which any may be large."""
    text = term(rng)
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        text += f" {rng.choice(SIGNS)} {term(rng)}"
    return text


def equation(rng: random.Random) -> str:
    left = term(rng) if rng.random() < 0.6 else side(rng)
    return f"{left} {rng.choice(RELATIONS)} {side(rng)}"


def mapping(rng: random.Random) -> str:
    variable = rng.choice(("x", "y", "t", "n", "z"))
    return f"{rng.choice(('f', 'g', 'F', 'h', 'P'))} ( {variable} ) = {side(rng)}"


def integral(rng: random.Random) -> str:
    variable = rng.choice(("x", "x", "t", "y", "\\theta"))
    sign = "\\int"
    if rng.random() < 0.5:
        sign += f" _ {{ {rng.choice('0a1')} }} ^ {{ {rng.choice(UPPER_LIMITS)} }}"
    body = fraction(rng) if rng.random() < 0.3 else sum_of(rng, rng.choice((1, 1, 2)))
    return f"{sign} {body} d {variable}"


def summation(rng: random.Random) -> str:
    index, end = rng.choice("ikn"), rng.choice(("n", "m", "N", "\\infty", "9"))
    body = rng.choice((indexed, power, factor, fraction))(rng)
    return f"\\sum _ {{ {index} = {rng.choice('01')} }} ^ {{ {end} }} {body}"


def listing(rng: random.Random) -> str:
    name, end = letter(rng), rng.choice(("n", "k", "m"))
    return f"{name} _ {{ 1 }} , {name} _ {{ 2 }} , \\ldots , {name} _ {{ {end} }}"


def membership(rng: random.Random) -> str:
    members = letter(rng) if rng.random() < 0.6 else f"{letter(rng)} , {letter(rng)}"
    return f"{members} \\in {rng.choice(('A', 'B', 'R', 'N', 'X', '[ 0 , 1 ]'))}"


def factorial(rng: random.Random) -> str:
    return f"{letter(rng)} ! = {sum_of(rng, rng.choice((1, 2)))}"


def absolute(rng: random.Random) -> str:
    return f"| {sum_of(rng, rng.choice((1, 2)))} | {rng.choice(RELATIONS[4:-2])} {factor(rng)}"


_FORMULAS: dict[Callable[[random.Random], str], float] = {
    equation: 38,
    side: 16,
    fraction: 8,
    mapping: 8,
    integral: 8,
    summation: 6,
    root: 4,
    function: 4,
    absolute: 4,
    membership: 3,
    factorial: 2,
    listing: 1,
}
