r"""Words and units are written one way: \mathrm for one word, \text where a space is within."""

import random

from pretraining.wide.words import condition, phrase, quantity, spelled, with_words

from texlens.latex.parse.parser import parse


def fill(rng: random.Random, tokens: int) -> str:
    return " ".join(rng.choice("abxyz") for _ in range(tokens))


def test_one_word_is_spelled_in_letters():
    assert spelled("kg") == "\\mathrm { k g }"


def test_text_is_used_only_where_a_space_is_within():
    rng = random.Random(0)
    for label in (phrase(rng) for _ in range(200)):
        inner = label.removeprefix("\\text{").removesuffix("}")
        assert label.startswith("\\mathrm") or (" " in inner and label.startswith("\\text{"))


def test_worded_formulas_parse():
    rng = random.Random(1)
    for _ in range(100):
        for label in (with_words(rng, fill), quantity(rng), condition(rng, fill)):
            parse(label)
