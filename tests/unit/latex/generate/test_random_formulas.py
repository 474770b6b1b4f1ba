import random
import re
from itertools import pairwise

import pytest

from texlens.latex.generate.random_formulas import RandomFormulas


def test_the_same_seed_gives_the_same_formula():
    assert RandomFormulas().sample(random.Random(5), 20) == RandomFormulas().sample(random.Random(5), 20)


@pytest.mark.parametrize("target", [1, 3, 8, 20, 60, 140])
def test_lengths_stay_within_the_target_and_near_it(target):
    formulas = RandomFormulas()
    rng = random.Random(0)

    lengths = [len(formulas.sample(rng, target).split(" ")) for _ in range(300)]

    assert max(lengths) <= target
    assert sum(lengths) / len(lengths) > 0.9 * target


def test_braces_are_in_balance_and_scripts_are_braced():
    formulas, rng = RandomFormulas(), random.Random(1)
    for _ in range(500):
        tokens = formulas.sample(rng, 40).split(" ")
        assert tokens.count("{") == tokens.count("}")
        assert all(after == "{" for token, after in pairwise(tokens) if token in ("_", "^"))


def test_roman_words_never_stand_side_by_side():
    formulas, rng = RandomFormulas(), random.Random(4)

    text = "\n".join(formulas.sample(rng, 60) for _ in range(2000))

    assert re.search(r"\\mathrm \{( [A-Za-z])+ \} \\mathrm", text) is None
