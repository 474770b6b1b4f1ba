import json
import math
import random

import pytest

from texlens.core.errors import DataError, ModelError
from texlens.inference.confidence import (
    Calibration,
    calibration_error,
    confidence,
    fit,
    fit_formula,
    log_loss,
    read_calibration,
)


def test_temperature_above_one_raises_low_confidences():
    assert confidence(math.log(0.5), 1.0) == pytest.approx(0.5)
    assert confidence(math.log(0.25), 2.0) == pytest.approx(0.5)


def test_calibration_error_is_the_distance_between_confidence_and_share_of_correct_rows():
    assert calibration_error([0.9, 0.9, 0.9, 0.9], [True, True, True, False]) == pytest.approx(0.15)
    assert calibration_error([1.0, 0.0], [True, False]) == 0


def test_fit_recovers_the_temperature_of_the_rows():
    rng = random.Random(0)
    sums = [-rng.expovariate(0.5) for _ in range(4000)]
    right = [rng.random() < confidence(total, 3.0) for total in sums]

    fitted = fit(sums, right, "synthetic rows")

    assert fitted.temperature == pytest.approx(3.0, rel=0.1)
    assert fitted.error_after < 0.03 < fitted.error_before
    assert (fitted.rows, fitted.right) == (4000, sum(right))
    assert log_loss(sums, right, fitted.temperature) < log_loss(sums, right, 1.0)


def test_calibrated_model_keeps_its_confidence():
    rng = random.Random(1)
    sums = [-rng.expovariate(0.5) for _ in range(200)]
    right = [rng.random() < confidence(total, 1.0) for total in sums]

    fitted = fit(sums, right, "synthetic rows")

    assert fitted.temperature == pytest.approx(1.0, abs=0.25)
    assert fitted.error_after <= fitted.error_before


@pytest.mark.parametrize(("right", "reason"), [([True] * 30, "every row is right"), ([True, False], "2 rows")])
def test_rows_that_determine_no_temperature_are_refused(right, reason):
    with pytest.raises(DataError, match=reason):
        fit([-1.0] * len(right), right, "rows")


def test_metadata_without_calibration_gives_none_and_damaged_metadata_is_named(tmp_path):
    assert read_calibration(tmp_path) is None
    (tmp_path / "texlens.json").write_text(json.dumps({"base": "nano"}))
    assert read_calibration(tmp_path) is None
    calibration = Calibration(1.5, 0.2, 0.1, 40, 20, "rows")
    (tmp_path / "texlens.json").write_text(json.dumps({"base": "nano", "calibration": calibration.to_json()}))
    assert read_calibration(tmp_path) == calibration
    (tmp_path / "texlens.json").write_text('{"calibration": 3}')
    with pytest.raises(ModelError, match=r"texlens\.json: damaged"):
        read_calibration(tmp_path)


def test_formula_probability_is_one_half_where_both_kinds_are_equally_likely():
    bias, weight = fit_formula([-0.1, -0.2, -0.15], [-0.9, -1.0, -0.95])
    calibration = Calibration(1.0, 0.1, 0.1, 50, 25, "rows", bias, weight)
    assert calibration.formula_probability(-1.0, 10) > 0.9
    assert calibration.formula_probability(-10.0, 10) < 0.1
    assert calibration.formula_probability(-5.5, 10) == pytest.approx(0.5, abs=0.05)


def test_formula_probability_is_unknown_without_images_of_other_things():
    plain = Calibration(1.0, 0.1, 0.1, 50, 25, "rows")
    assert plain.formula_probability(-1.0, 10) is None
    assert "formula_bias" not in plain.to_json()
    with pytest.raises(DataError, match="images of other things"):
        fit_formula([-0.1], [])
