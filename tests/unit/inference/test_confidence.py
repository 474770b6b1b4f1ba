import json
import math
import random

import pytest

from texlens.core.errors import DataError, ModelError
from texlens.inference.confidence import Calibration, calibration_error, confidence, fit, log_loss, read_calibration


def test_a_temperature_above_one_makes_less_sure_of_what_is_unlikely_less_so():
    assert confidence(math.log(0.5), 1.0) == pytest.approx(0.5)
    assert confidence(math.log(0.25), 2.0) == pytest.approx(0.5)


def test_the_error_is_the_distance_between_certainty_and_truth():
    assert calibration_error([0.9, 0.9, 0.9, 0.9], [True, True, True, False]) == pytest.approx(0.15)
    assert calibration_error([1.0, 0.0], [True, False]) == 0


def test_the_temperature_that_rows_were_made_with_is_found():
    rng = random.Random(0)
    sums = [-rng.expovariate(0.5) for _ in range(4000)]
    right = [rng.random() < confidence(total, 3.0) for total in sums]

    made = fit(sums, right, "made up")

    assert made.temperature == pytest.approx(3.0, rel=0.1)
    assert made.error_after < 0.03 < made.error_before
    assert (made.rows, made.right) == (4000, sum(right))
    assert log_loss(sums, right, made.temperature) < log_loss(sums, right, 1.0)


def test_a_model_that_is_as_sure_as_it_is_right_is_left_alone():
    rng = random.Random(1)
    sums = [-rng.expovariate(0.5) for _ in range(200)]
    right = [rng.random() < confidence(total, 1.0) for total in sums]

    made = fit(sums, right, "made up")

    assert made.temperature == pytest.approx(1.0, abs=0.25)
    assert made.error_after <= made.error_before


@pytest.mark.parametrize(("right", "reason"), [([True] * 30, "every row is right"), ([True, False], "2 rows")])
def test_rows_that_fit_nothing_are_refused(right, reason):
    with pytest.raises(DataError, match=reason):
        fit([-1.0] * len(right), right, "rows")


def test_a_card_without_a_calibration_has_none_and_a_damaged_one_is_named(tmp_path):
    assert read_calibration(tmp_path) is None
    (tmp_path / "texlens.json").write_text(json.dumps({"base": "nano"}))
    assert read_calibration(tmp_path) is None
    made = Calibration(1.5, 0.2, 0.1, 40, 20, "rows")
    (tmp_path / "texlens.json").write_text(json.dumps({"base": "nano", "calibration": made.to_json()}))
    assert read_calibration(tmp_path) == made
    (tmp_path / "texlens.json").write_text('{"calibration": 3}')
    with pytest.raises(ModelError, match=r"texlens\.json: damaged"):
        read_calibration(tmp_path)
