"""A prediction as it is printed or written: readable LaTeX, Markdown, MathML or a row of JSON."""

from typing import Any, Literal
from xml.sax.saxutils import escape

from texlens.inference.confidence import Calibration
from texlens.latex.read_formula import ReadFormula, formula_of
from texlens.metrics.prediction import Prediction

OutputFormat = Literal["latex", "markdown", "mathml", "json"]


def reading_row(
    name: str, prediction: Prediction, calibration: Calibration | None, clean: bool = True
) -> dict[str, Any]:
    """What `--json`, `--format json` and an output file hold of an image; `error` instead where it could not be read.

    `text` is the model's own; `latex` is the formula in it, formatted for reading; `removed` names what was around it
    (nothing without `clean`). `valid` is whether it can be parsed; if not, `problem` says why and the confidence is 0.
    `formula_probability` is there where the calibration was fitted on images of other things too.
    """
    if prediction.error is not None or prediction.log_probability is None:
        error = prediction.error or "no text could be generated"
        return {"image": name, "text": "", "stop": prediction.stop, "tokens": 0, "error": error}
    formula = formula_of(prediction.text, clean)
    return {
        "image": name,
        "latex": formula.latex,
        "text": prediction.text,
        **({"removed": list(formula.removed)} if formula.removed else {}),
        "valid": formula.valid,
        **({"problem": formula.problem} if formula.problem else {}),
        "confidence": confidence_of(formula, calibration, prediction.log_probability),
        **_formula_probability(prediction, calibration),
        "stop": prediction.stop,
        "tokens": prediction.tokens,
        "log_probability": prediction.log_probability,
        **({"prepared": list(prediction.prepared)} if prediction.prepared else {}),
    }


def confidence_of(formula: ReadFormula, calibration: Calibration | None, log_probability: float) -> float | None:
    """The probability that a reading is right: 0 where it is not valid; None without a calibration."""
    if not formula.valid:
        return 0.0
    return None if calibration is None else round(calibration.confidence(log_probability), 4)


def _formula_probability(prediction: Prediction, calibration: Calibration | None) -> dict[str, float]:
    """`formula_probability`, that the image shows a formula at all, where the calibration knows."""
    if calibration is None or prediction.log_probability is None:
        return {}
    value = calibration.formula_probability(prediction.log_probability, prediction.tokens)
    return {} if value is None else {"formula_probability": round(value, 4)}


def formatted(
    row: dict[str, Any], output_format: OutputFormat, *, raw: bool, clean: bool = True
) -> tuple[str, str | None]:
    """The reading in a format, and a problem with it where there is one."""
    latex = row["text"] if raw else row["latex"]
    if output_format == "markdown":
        return f"$$\n{latex}\n$$", None
    if output_format != "mathml":
        return latex, None
    from texlens.latex.mathml import to_mathml

    mathml, problem = to_mathml(formula_of(row["text"], clean).text)
    if mathml is None:
        mathml = f'<math display="block"><merror><mtext>{escape(latex)}</mtext></merror></math>'
    return mathml, problem


def without_control_characters(text: str) -> str:
    r"""The text with control characters but line feed and tab escaped, so that a terminal shows them.

    Example:
        "\x1b[31mx" -> "\\x1b[31mx"
    """
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
