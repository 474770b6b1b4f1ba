"""Our BLEU is sacrebleu's, for whole corpora and for each resample."""

import math
import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from texlens.metrics.bleu import (
    BLEU_SIGNATURE,
    bleu_of_sums,
    bleu_statistics,
    nltk_bleu_of_sums,
    nltk_statistics,
)


def ours(references, texts):
    return float(bleu_of_sums(np.sum([bleu_statistics(*row) for row in zip(references, texts, strict=True)], axis=0)))


def theirs(references, texts):
    metric = BLEU(tokenize="none", force=True)
    return (
        metric.corpus_score(
            [" ".join(text) for text in texts], [[" ".join(reference) for reference in references]]
        ).score
        / 100
    )


def corpus(seed, rows, longest, letters):
    rng = random.Random(seed)

    def line():
        return rng.choices(letters, k=rng.randint(0, longest))

    references = [line() or ["x"] for _ in range(rows)]
    texts = [reference if rng.random() < 0.3 else line() for reference in references]
    return references, texts


@pytest.mark.parametrize("seed", range(30))
def test_the_value_is_sacrebleus_on_any_corpus(seed):
    references, texts = corpus(seed, rows=1 + seed % 7, longest=2 + seed % 12, letters="xyz+^"[: 2 + seed % 4])
    assert ours(references, texts) == pytest.approx(theirs(references, texts), abs=1e-12)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("a b c d e", "a b c d e"),
        ("a b c d e", "a b c x y"),
        ("a b c d e", "v w x y z"),
        ("a b c d e", "a"),
        ("a b", ""),
    ],
)
def test_smoothing_brevity_and_nothing_matched_are_sacrebleus(reference, text):
    assert ours([reference.split()], [text.split()]) == pytest.approx(
        theirs([reference.split()], [text.split()]), abs=1e-12
    )


def test_the_definition_is_the_one_that_sacrebleu_prints():
    metric = BLEU(tokenize="none")
    metric.corpus_score(["a"], [["a"]])
    assert str(metric.get_signature()).startswith(BLEU_SIGNATURE)


def test_statistics_of_a_row_are_counted_as_documented():
    assert bleu_statistics(["x", "^", "2"], ["x", "^", "3"]) == (3, 3, 2, 1, 0, 0, 3, 2, 1, 0)


def test_repeating_a_token_earns_nothing():
    assert bleu_statistics(["x", "y"], ["x", "x", "x"])[2] == 1


def test_many_sums_at_once_give_each_its_own_value():
    references, texts = corpus(5, rows=6, longest=9, letters="xyz")
    rows = np.array([bleu_statistics(*row) for row in zip(references, texts, strict=True)])
    many = bleu_of_sums(np.stack([rows.sum(axis=0), rows[:3].sum(axis=0)]))
    assert many == pytest.approx([theirs(references, texts), theirs(references[:3], texts[:3])])


def nltk_like(rows):
    sums = np.array([nltk_statistics(reference.split(), text.split()) for reference, text in rows]).sum(axis=0)
    return float(nltk_bleu_of_sums(sums))


def test_nltks_definition_counts_an_ngram_even_of_a_short_text():
    rows = [("a b c d e", "a b c d e"), ("x", "x")]
    precisions = [6 / 6, 4 / 5, 3 / 4, 2 / 3]
    assert nltk_like(rows) == pytest.approx(math.prod(precisions) ** 0.25)


def test_nltks_smoothing_gives_each_order_without_a_match_half_of_the_one_before():
    rows = [("a b c d e", "a x c y e")]
    log = math.log(5) / 5
    assert nltk_like(rows) == pytest.approx((3 / 5 * (log / 2) / 4 * (log / 4) / 3 * (log / 8) / 2) ** 0.25)


def test_nltks_definition_of_nothing_is_zero():
    assert nltk_like([("a", "")]) == 0
