"""The calibration of the bundled model: photographs are never right, and give the probability of a formula."""

import random

from PIL import Image
from pretraining.calibration import calibrated, photograph_cuts

from texlens.metrics.prediction import Prediction


def readings(kind: str, count: int, log_probability: float, text: str) -> list[Prediction]:
    return [
        Prediction(f"{kind}-{n}", "x", text, tokens=4, log_probability=log_probability - 0.01 * (n % 7))
        for n in range(count)
    ]


def test_readings_of_photographs_count_as_wrong_and_separate_formulas_from_other_things():
    formulas = readings("mixture", 60, -0.1, "x") + readings("mixture", 20, -1.5, "y")
    cuts = readings("photograph", 30, -8.0, "x")
    with_cuts, without = calibrated([*formulas, *cuts]), calibrated(formulas)
    assert (without.rows, without.right) == (80, 60)
    assert (with_cuts.rows, with_cuts.right) == (110, 60)
    assert without.formula_weight is None
    assert with_cuts.formula_weight > 0


def test_cuts_come_from_every_other_photograph(tmp_path):
    files = []
    for number, level in enumerate((0, 120, 250)):
        files.append(tmp_path / f"{number}.png")
        Image.new("L", (400, 300), level).save(files[-1])
    cuts = list(photograph_cuts(files, 6, random.Random(1)))
    assert {cut.getpixel((0, 0)) for cut in cuts} == {0, 250}
    assert all(min(cut.size) >= 16 for cut in cuts)
    assert list(photograph_cuts([], 6, random.Random(1))) == []
