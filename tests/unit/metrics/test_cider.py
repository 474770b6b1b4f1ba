"""The fixture holds what pycocoevalcap 1.2 prints, with Stanford's tokenizer in Java, of twelve synthetic images."""

import json
from pathlib import Path

import pytest

from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import chosen_metrics, metric_named
from texlens.metrics.scores import Table, score

PUBLISHED = json.loads((Path(__file__).parents[2] / "fixtures" / "captions_scored.json").read_text(encoding="utf-8"))


def predictions() -> list[Prediction]:
    return [
        Prediction(f"{number:02}", row["references"][0], row["text"], more_references=tuple(row["references"][1:]))
        for number, row in enumerate(PUBLISHED["rows"])
    ]


def test_each_row_has_the_published_cider_and_rouge():
    table = Table.of(predictions(), metrics=(metric_named("caption_rouge_l"), metric_named("cider")))
    for values, row in zip(table.row_values(), PUBLISHED["rows"], strict=True):
        assert values["cider"] == pytest.approx(row["cider"], abs=1e-9)
        assert values["caption_rouge_l"] == pytest.approx(row["rouge_l"], abs=1e-9)


def test_the_totals_are_the_published_ones():
    totals = score(predictions(), metrics=chosen_metrics("captions"), resamples=20).values
    assert totals["cider"].value == pytest.approx(PUBLISHED["cider"], abs=1e-9)
    assert totals["caption_rouge_l"].value == pytest.approx(PUBLISHED["rouge_l"], abs=1e-9)
    assert totals["caption_bleu4"].value == pytest.approx(PUBLISHED["bleu"][3], abs=1e-9)


def test_a_caption_that_every_image_has_says_nothing_of_any():
    rows = [Prediction(str(number), "a dog", "a dog") for number in range(3)]
    assert score(rows, metrics=(metric_named("cider"),), resamples=5).values["cider"].value == 0


def test_a_failed_row_scores_0():
    rows = [Prediction("1", "a red bus", "", stop="failed"), Prediction("2", "two cats sleep", "two cats sleep")]
    failed, correct = Table.of(rows, metrics=chosen_metrics("captions")).row_values()
    assert (failed["cider"], failed["caption_rouge_l"], failed["caption_bleu4"]) == (0, 0, 0)
    assert correct["cider"] > 7
