import math

import pytest

from texlens.evaluation.comparison import compare
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import run_metrics

REFERENCES = {"a": ("x ^ { 2 }", "print"), "b": ("\\frac { a } { b } + c", "hand"), "c": ("n !", "hand")}
TEXTS = {"base": ["x ^ { 2 }", "\\frac { a } { b }", "n"], "adapter": ["x ^ { 2 }", "\\frac { a } { b } + c", "n"]}


@pytest.fixture(scope="session")
def comparison():
    """Row a: both right; b: only the adapter; c: both wrong, and the base reports no confidence."""
    systems = {
        name: [
            Prediction(
                id=row,
                reference=reference,
                text=text,
                domain=domain,
                log_probability=None if (name, row) == ("base", "c") else math.log(0.9 if row == "a" else 0.5),
            )
            for (row, (reference, domain)), text in zip(REFERENCES.items(), texts, strict=True)
        ]
        for name, texts in TEXTS.items()
    }
    return compare(systems, metrics=run_metrics(("exact_match", "edit_similarity")), resamples=50)
