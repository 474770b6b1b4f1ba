import pytest

from texlens.inference.confidence import Calibration
from texlens.inference.output_formats import formatted, reading_row, without_control_characters
from texlens.metrics.prediction import Prediction

CALIBRATION = Calibration(1.0, 0.1, 0.1, 50, 25, "rows")


def row(text, calibration=CALIBRATION, **changes):
    prediction = Prediction("x", "", text, tokens=5, log_probability=-0.1, **changes)
    return reading_row("x.png", prediction, calibration)


def test_latex_is_formatted_and_text_is_the_model_s_own():
    reading = row("x ^ { 2 }")
    assert (reading["latex"], reading["text"], reading["valid"]) == ("x^2", "x ^ { 2 }", True)
    assert reading["confidence"] == pytest.approx(0.9048, abs=1e-4)
    assert "removed" not in reading


def test_fences_and_prose_are_removed_and_named():
    text = "The LaTeX is:\n```latex\nx ^ { 2 }\n```"
    reading = row(text)
    assert (reading["latex"], reading["text"]) == ("x^2", text)
    assert reading["removed"] == ["prose", "code fence"]
    assert "<msup>" in formatted(reading, "mathml", raw=False)[0]
    assert formatted(reading, "latex", raw=True) == (text, None)


@pytest.mark.parametrize("text", ["\\frac{a", "", "  "])
def test_formula_that_can_not_be_parsed_has_no_confidence(text):
    reading = row(text)
    assert (reading["valid"], reading["confidence"]) == (False, 0.0)
    assert row(text, calibration=None)["confidence"] == 0.0
    assert reading["problem"]


def test_formula_of_a_model_without_calibration_has_no_confidence_either():
    assert row("x", calibration=None)["confidence"] is None


def test_without_clean_up_a_fence_makes_a_reading_invalid():
    prediction = Prediction("x", "", "```latex\nx\n```", tokens=5, log_probability=-0.1)
    reading = reading_row("x.png", prediction, CALIBRATION, clean=False)
    assert (reading["valid"], reading["confidence"]) == (False, 0.0)
    assert "removed" not in reading
    assert "code fence" in reading["problem"]


def test_row_that_failed_has_its_error():
    reading = reading_row("x.png", Prediction("x", "", "", stop="failed", error="x.png: damaged"), CALIBRATION)
    assert reading == {"image": "x.png", "text": "", "stop": "failed", "tokens": 0, "error": "x.png: damaged"}


def test_markdown_has_the_formula_between_dollars():
    assert formatted(row("x ^ { 2 }"), "markdown", raw=False) == ("$$\nx^2\n$$", None)


def test_unsupported_formula_is_an_error_element_with_a_reason():
    mathml, problem = formatted(row("\\frac{a"), "mathml", raw=False)
    assert mathml.startswith('<math display="block"><merror>')
    assert problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a \\x", "a \\x"),
        ("\x1b[31mx", "\\x1b[31mx"),
        ("\x9b1m", "\\x9b1m"),
        ("‮x", "\\u202ex"),
        ("a\n\tb", "a\n\tb"),
        ("公式 é", "公式 é"),
        ("\r", "\\r"),
    ],
)
def test_control_characters_are_escaped(text, expected):
    assert without_control_characters(text) == expected


def test_reading_of_something_else_has_a_low_probability_of_a_formula():
    calibration = Calibration(1.0, 0.1, 0.1, 50, 25, "rows", 4.0, 20.0)
    unlikely = Prediction("x", "", "x", tokens=5, log_probability=-5.0)
    assert reading_row("x.png", unlikely, calibration)["formula_probability"] == pytest.approx(0.0, abs=1e-3)
    assert "formula_probability" not in row("x")
