"""A prediction as it is printed or written: readable LaTeX, Markdown, MathML or a row of JSON."""

from typing import Any, Literal
from xml.sax.saxutils import escape

from texlens.inference.confidence import Calibration
from texlens.latex.canonical.readable import readable
from texlens.metrics.prediction import Prediction

OutputFormat = Literal["latex", "markdown", "mathml", "json"]


def reading_row(name: str, prediction: Prediction, calibration: Calibration | None) -> dict[str, Any]:
    """What `--json`, `--format json` and an output file hold of an image; `error` instead where it could not be read.

    `text` is the model's own, `latex` the same written to be read.
    """
    if prediction.error is not None or prediction.log_probability is None:
        error = prediction.error or "no text could be generated"
        return {"image": name, "text": "", "stop": prediction.stop, "tokens": 0, "error": error}
    confidence = None if calibration is None else round(calibration.confidence(prediction.log_probability), 4)
    return {
        "image": name,
        "latex": readable(prediction.text),
        "text": prediction.text,
        "confidence": confidence,
        "stop": prediction.stop,
        "tokens": prediction.tokens,
        "log_probability": prediction.log_probability,
        **({"prepared": list(prediction.prepared)} if prediction.prepared else {}),
    }


def formatted(row: dict[str, Any], output_format: OutputFormat, *, raw: bool) -> tuple[str, str | None]:
    """The reading in a format, and a problem with it where there is one."""
    latex = row["text"] if raw else row["latex"]
    if output_format == "markdown":
        return f"$$\n{latex}\n$$", None
    if output_format != "mathml":
        return latex, None
    from texlens.latex.mathml import to_mathml

    mathml, problem = to_mathml(row["text"])
    if mathml is None:
        mathml = f'<math display="block"><merror><mtext>{escape(latex)}</mtext></merror></math>'
    return mathml, problem


def without_control_characters(text: str) -> str:
    r"""The text with control characters but line feed and tab escaped, so that a terminal shows them.

    Example:
        "\x1b[31mx" -> "\\x1b[31mx"
    """
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
