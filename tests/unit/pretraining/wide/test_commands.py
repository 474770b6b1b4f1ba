r"""Rare commands come at a floor frequency, each look by one command."""

import random
from collections import Counter

import pytest
from pretraining.wide.commands import FAVORITES, FUNCTIONS, RareCommands, rare_symbols

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.parser import parse

EXPECTED = (
    *("\\mathbb", "\\mathfrak", "\\mathscr", "\\|", "\\lfloor", "\\lceil", "\\sup", "\\inf", "\\max", "\\min", "\\arg"),
    *("\\Pr", "\\binom", "\\setminus", "\\leqslant", "\\geqslant", "\\lesssim", "\\boldsymbol", "\\xrightarrow"),
    *("\\underset", "\\underbrace"),
)


@pytest.fixture(scope="module")
def rare() -> RareCommands:
    return RareCommands(lambda rng, tokens: " ".join(rng.choice("abxyz") for _ in range(max(1, tokens // 2))))


def test_commands_that_people_use_occur_often(rare):
    rng = random.Random(0)
    counts = Counter(token for _ in range(6000) for token in set(rare.sample(rng, 20).split()))
    assert not [command for command in EXPECTED if counts[command] < 6]


def test_every_formula_parses(rare):
    rng = random.Random(1)
    for _ in range(300):
        parse(rare.sample(rng, 30))


def test_no_two_symbols_have_one_look():
    looks = [sym.SYMBOLS[token][0] for token in rare_symbols()]
    assert len(looks) == len(set(looks)) > 150


def test_each_favorite_and_function_is_known_to_the_engine():
    assert set(FAVORITES) <= set(sym.SYMBOLS)
    for name in FUNCTIONS:
        parse(f"{name} x")
