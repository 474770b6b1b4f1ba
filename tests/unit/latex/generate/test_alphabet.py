import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from texlens.latex.generate.alphabet import ALL, NOT_MADE, SAME_LOOK, UNSEEN
from texlens.latex.generate.random_formulas import RandomFormulas

SHARED = Path(os.environ.get("TEXLENS_SHARED_DATA", Path(__file__).parents[5] / "shared/data"))
LATEX_OCR_TRAIN = SHARED / "LaTeX_OCR/full/train-00000-of-00001.parquet"


def test_every_token_of_the_vocabulary_occurs_and_no_other():
    formulas, rng = RandomFormulas(), random.Random(2)

    tokens = {token for _ in range(6000) for token in formulas.sample(rng, 40).split(" ")}

    assert tokens == formulas.vocabulary()


def test_no_two_tokens_look_the_same():
    assert not RandomFormulas().vocabulary() & (set(SAME_LOOK) - {"--", "'"})


def test_a_smaller_alphabet_is_kept_to():
    alphabet = replace(
        ALL, latin=("x", "y"), greek=("\\pi",), digits=("1",), shapes={"latin": 1, "fraction": 1, "scripted": 1}
    )
    formulas, rng = RandomFormulas(alphabet), random.Random(3)

    tokens = {token for _ in range(300) for token in formulas.sample(rng, 20).split(" ")}

    assert tokens == {"x", "y", "1", "\\pi", "\\frac", "{", "}", "_", "^"}


@pytest.mark.skipif(not LATEX_OCR_TRAIN.exists(), reason="no LaTeX_OCR rows here")
def test_every_visible_command_that_occurs_three_times_in_latex_ocr_is_made():
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(LATEX_OCR_TRAIN, columns=["text"])["text"].to_pylist()
    counts = Counter(token for row in rows for token in row.split(" "))

    frequent = {token for token, count in counts.items() if count >= 3}

    assert frequent - RandomFormulas().vocabulary() - set(SAME_LOOK) - UNSEEN - NOT_MADE == set()
