"""Captions: words and further references."""

import json
from pathlib import Path

import pytest

from texlens.metrics.captions import caption_words
from texlens.metrics.prediction import Prediction

PUBLISHED = json.loads((Path(__file__).parents[2] / "fixtures" / "captions_scored.json").read_text(encoding="utf-8"))


def test_words_are_those_of_the_published_tokenizer():
    for row in PUBLISHED["rows"]:
        assert " ".join(caption_words(row["text"])) == row["words"]
        assert [" ".join(caption_words(text)) for text in row["references"]] == row["reference_words"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It’s 1,000 miles, isn't it?", ["it", "'s", "1,000", "miles", "is", "n't", "it"]),
        ("red,green", ["red", "green"]),
        ("(a $5 cup & saucer)...", ["a", "$", "5", "cup", "&", "saucer"]),
        ("一只猫", ["一只猫"]),
        ("?!", []),
    ],
)
def test_punctuation_goes_and_numbers_stay(text, words):
    assert caption_words(text) == words


def test_further_references_are_kept_with_a_prediction():
    row = Prediction("1", "a", "b", more_references=("c",))
    assert Prediction.from_row(json.loads(json.dumps(row.to_row()))) == row
    assert "more_references" not in Prediction("1", "a", "b").to_row()
