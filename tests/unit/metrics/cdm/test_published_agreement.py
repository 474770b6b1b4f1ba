"""`reference` rules agree with the authors' program, row by row; each kind of row apart."""

import json
import os
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from texlens.metrics.cdm import RULES, cdm

SHARED = Path(os.environ.get("TEXLENS_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data"))
REFERENCE = SHARED / "cdm_reference"


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the shared data is not here")
@pytest.mark.parametrize("rules", ["reference", "reference-2024"])
@pytest.mark.parametrize("name", ["texteller_crohme_2014", "texteller_mathwriting_test_2k"])
def test_agreement(name, rules):
    rows = [json.loads(line) for line in (REFERENCE / f"{name}.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["cdm"]]
    theirs = [row["cdm"]["F1_score"] for row in rows]
    ours = [cdm(row["gt"], row["pred"], RULES[rules]).f1 for row in rows]
    whole = [our == 1 for our, their in zip(ours, theirs, strict=True) if their == 1]
    below = [(our, their) for our, their in zip(ours, theirs, strict=True) if their < 1]
    assert sum(whole) / len(whole) >= 0.985
    assert sum(abs(our - their) <= 0.05 for our, their in below) / len(below) >= 0.85
    assert spearmanr(*zip(*below, strict=True))[0] >= 0.9
    assert abs(sum(our == 1 for our in ours) - sum(their == 1 for their in theirs)) / len(rows) <= 0.005
