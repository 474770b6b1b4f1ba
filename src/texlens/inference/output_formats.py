"""A prediction as it is printed or written: readable LaTeX, Markdown, MathML or a row of JSON."""

from typing import Any, Literal
from xml.sax.saxutils import escape

from texlens.inference.confidence import Calibration
from texlens.latex.canonical.readable import readable
from texlens.metrics.prediction import Prediction

Format = Literal["latex", "markdown", "mathml", "json"]


def reading_row(name: str, made: Prediction, calibration: Calibration | None) -> dict[str, Any]:
    """What `--json`, `--format json` and an output file hold of an image; `error` instead where it could not be read.

    `text` is the model's own, `latex` the same written to be read.
    """
    if made.error is not None or made.log_probability is None:
        return {"image": name, "text": "", "stop": made.stop, "tokens": 0, "error": made.error}
    sure = None if calibration is None else round(calibration.confidence(made.log_probability), 4)
    return {
        "image": name,
        "latex": readable(made.text),
        "text": made.text,
        "confidence": sure,
        "stop": made.stop,
        "tokens": made.tokens,
        "log_probability": made.log_probability,
    }


def shown(row: dict[str, Any], form: Format, *, raw: bool) -> tuple[str, str | None]:
    """The reading in a format, and why it is not as good as it should be."""
    latex = row["text"] if raw else row["latex"]
    if form == "markdown":
        return f"$$\n{latex}\n$$", None
    if form != "mathml":
        return latex, None
    from texlens.latex.mathml import to_mathml

    mathml, problem = to_mathml(row["text"])
    if mathml is None:
        mathml = f'<math display="block"><merror><mtext>{escape(latex)}</mtext></merror></math>'
    return mathml, problem
