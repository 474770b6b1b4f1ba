"""Our preset named after the authors of a public model prints what they printed, to the last digit."""

import json
import os
import re
from pathlib import Path

import pytest

from texlens.metrics.pairs import score_predictions
from texlens.metrics.prediction import Prediction

SHARED = Path(os.environ.get("TEXLENS_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
REFERENCE = SHARED / "metric_reference"
LINES = {
    "Exact Match Rate": ("exact_match", 100),
    "Error ≤ 1": ("within_1", 100),
    "Error ≤ 2": ("within_2", 100),
    "Error ≤ 3": ("within_3", 100),
    "Mean Edit Score": ("edit_similarity", 100),
    "BLEU-4 Score": ("bleu4", 100),
    "Character Error Rate": ("character_error_rate", 1),
}


def rows_of(name):
    return [json.loads(line) for line in (REFERENCE / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the shared data is not here")
@pytest.mark.parametrize(
    "name",
    [
        "unimumer_3b_crohme_2014",
        "unimumer_7b_crohme_2014",
        "unimumer_paper_crohme_2014",
        "unimumer_3b_mathwriting_test",
        "unimumer_7b_mathwriting_test",
    ],
)
def test_scores_of_published_predictions_are_the_published_scores(name):
    predictions = [Prediction(str(number), row["gt"], row["pred"]) for number, row in enumerate(rows_of(name))]
    published = (REFERENCE / f"{name}.published.txt").read_text()
    values = score_predictions(predictions, preset="uni-mumer", resamples=10).scores.values
    for label, (ours, factor) in LINES.items():
        theirs = re.search(rf"{label}:\s+([\d.]+)", published).group(1)
        assert f"{factor * values[ours].value:.4f}" == theirs, label


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the shared data is not here")
def test_our_own_exact_match_on_spaced_tokens_is_theirs():
    rows = rows_of("unimumer_3b_crohme_2014")
    predictions = [Prediction(row["img_id"], row["gt"], row["pred"]) for row in rows]
    values = score_predictions(predictions, metrics="exact_match,within_1,within_2", resamples=10).scores.values
    assert [f"{100 * interval.value:.4f}" for interval in values.values()] == ["82.6572", "90.3651", "93.7120"]
