"""Our exact match, edit counts and edit similarity are those that the authors of a public model printed."""

import json
import os
import re
from pathlib import Path

import pytest

from texlens.core.prediction import Prediction
from texlens.evaluate.score import score

SHARED = Path(os.environ.get("TEXLENS_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
REFERENCE = SHARED / "metric_reference"


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the shared data is not here")
@pytest.mark.parametrize("name", ["unimumer_3b_crohme_2014", "unimumer_7b_crohme_2014"])
def test_scores_of_published_predictions_are_the_published_scores(name):
    lines = [json.loads(line) for line in (REFERENCE / f"{name}.jsonl").read_text().splitlines()]
    published = (REFERENCE / f"{name}.published.txt").read_text()
    scores = score([Prediction(line["img_id"], line["gt"], line["pred"]) for line in lines], resamples=10).values
    for label, ours in (("Exact Match Rate", "exact_match"), ("Error ≤ 1", "within_1"), ("Error ≤ 2", "within_2")):
        theirs = float(re.search(rf"{label}:\s+([\d.]+)%", published).group(1))
        assert 100 * scores[ours].value == pytest.approx(theirs, abs=5e-5), label
