from dataclasses import replace

import pytest

from texlens.data.sample import LazyImage, Sample, Turn
from texlens.evaluation.evaluation_rows import EvaluationRows
from texlens.metrics.prediction import Prediction

SAMPLE = Sample("7", LazyImage.from_bytes(b"first"), "x", domain="print")


def fingerprint(sample: Sample) -> str:
    return EvaluationRows([sample], []).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"id": "8"},
        {"image": LazyImage.from_bytes(b"second")},
        {"text": "y"},
        {"prompt": "Read."},
        {"system": "You read."},
        {"domain": "hand"},
        {"more_images": (LazyImage.from_bytes(b"third"),)},
        {"more_answers": ("z",)},
        {"history": (Turn("user", "What is it?"), Turn("assistant", "A sum"))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_that_decides_a_prediction_or_a_score_is_in_the_fingerprint(change):
    assert fingerprint(replace(SAMPLE, **change)) != fingerprint(SAMPLE)


def test_the_same_rows_have_the_same_fingerprint():
    assert fingerprint(replace(SAMPLE, image=LazyImage.from_bytes(b"first", "elsewhere"))) == fingerprint(SAMPLE)


def test_a_failed_row_counts_too():
    failed = Prediction("9", "x", "", stop="failed", error="a.png: no such file")
    assert EvaluationRows([SAMPLE], [failed]).fingerprint != fingerprint(SAMPLE)
