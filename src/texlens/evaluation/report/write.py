"""Writes the report: the numbers laid out by a template, the rows as JSON that the page's own script shows."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from texlens.core.files import write_text
from texlens.evaluation.comparison import Comparison, PairedResult
from texlens.evaluation.expert_utilization import last_use
from texlens.evaluation.report.confusions import confusion_rows
from texlens.evaluation.report.content import ReportData
from texlens.evaluation.report.experts import dead_line, expert_chart
from texlens.evaluation.report.gallery import OUTCOMES, gallery
from texlens.evaluation.tables import p_text, percent, percent_span, points, points_span, verdict
from texlens.html.line_chart import Series, line_chart
from texlens.html.pictures import Drawings
from texlens.html.template import page_environment, script_json
from texlens.latex.render.formats import render_svg
from texlens.metrics.cdm.difference_svg import differences_svg
from texlens.metrics.registry import METRICS, metric_named

MOST_IMAGE_BYTES = 40_000_000
MAX_DRAWING_BYTES = 20_000_000
MAX_DRAWING_S = 60.0


def write_report(
    path: Path,
    data: ReportData,
    *,
    most_image_bytes: int = MOST_IMAGE_BYTES,
    most_drawing_bytes: int = MAX_DRAWING_BYTES,
    most_drawing_seconds: float = MAX_DRAWING_S,
    draw: Callable[[str], str] = render_svg,
    draw_pair: Callable[[str, str], tuple[str, str]] | None = None,
) -> Path:
    """One self-contained HTML file at `path`, written aside and renamed; returns the path.

    The page says how many rows have no picture because a budget was spent. `draw` maps a formula to SVG and raises
    LatexError; `draw_pair` does so for a reference and a text, their differences colored; as CDM sees them unless
    `draw` is given.
    """
    if draw_pair is None and draw is render_svg:
        draw_pair = differences_svg
    drawings = Drawings(draw, most_drawing_bytes, most_drawing_seconds, draw_pair=draw_pair)
    use = last_use(data.history)
    rows, shown, drawn = gallery(data.comparison, data.images, drawings, most_image_bytes)
    page = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            data=data,
            comparison=data.comparison,
            headline=headline(data.comparison),
            charts=_charts(data.history),
            experts=Markup(expert_chart(use)),
            dead=dead_line(use),
            scores=_scores(data.comparison),
            domains=_domains(data.comparison),
            confusions=confusion_rows(data.comparison, draw),
            outcomes=outcome_titles(data.comparison),
            pair=_pair(data.comparison),
            pictures=_pictures_note(data, shown, drawn),
            payload=script_json(
                {
                    "rows": rows,
                    "drawings": drawings.items,
                    "systems": list(data.comparison.systems),
                    "outcomes": outcome_titles(data.comparison),
                }
            ),
        )
    )
    path = Path(path)
    write_text(path, page)
    return path


def headline(comparison: Comparison) -> dict:
    """Exact match before and after, or of the one system there is."""
    values = {name: percent(scores.values["exact_match"].value) for name, scores in comparison.systems.items()}
    pair = _pair(comparison)
    if pair is None:
        scores = comparison.systems[comparison.reference]
        return {"after": values[comparison.reference], "detail": f"95% {percent_span(scores.values['exact_match'])}"}
    difference, p = pair.differences["exact_match"], p_text(pair.p_value)
    p = p if p.startswith("<") else f"= {p}"
    return {
        "before": values[pair.reference],
        "after": values[pair.system],
        "points": points(difference.value),
        "verdict": verdict(metric_named("exact_match"), difference),
        "detail": f"95% {points_span(difference)} points, p {p}",
        "p": p,
    }


def outcome_titles(comparison: Comparison) -> dict[str, str]:
    pair = _pair(comparison)
    if pair is None:
        return {"wrong": "Wrong", "right": "Right"}
    return {key: title.format(system=pair.system, reference=pair.reference) for key, title in OUTCOMES.items()}


def _environment() -> Environment:
    environment = page_environment("texlens.evaluation", "report")
    environment.filters.update(percent=percent, percent_span=percent_span, points=points, points_span=points_span)
    return environment


def _pair(comparison: Comparison) -> PairedResult | None:
    return comparison.pairs[0] if comparison.pairs else None


def _scores(comparison: Comparison) -> list[dict]:
    """One entry a metric: each system's interval, each pair's difference with its verdict."""
    return [
        {
            "metric": metric,
            "systems": [(name, scores.values[metric.name]) for name, scores in comparison.systems.items()],
            "differences": [
                (pair, pair.differences[metric.name], verdict(metric, pair.differences[metric.name]))
                for pair in comparison.pairs
            ],
        }
        for metric in comparison.systems[comparison.reference].metrics
    ]


def _domains(comparison: Comparison) -> list[dict]:
    return [
        {
            "name": name,
            "rows": part.rows,
            "systems": [scores.values["exact_match"] for scores in part.systems.values()],
            "differences": [
                (pair.differences["exact_match"], verdict(metric_named("exact_match"), pair.differences["exact_match"]))
                for pair in part.pairs
            ],
        }
        for name, part in comparison.domains.items()
    ]


def _charts(history: Sequence[Mapping]) -> list[tuple[str, Markup, list[Series]]]:
    """Title, SVG and series of each chart that has points."""
    loss = [
        Series("training", _points(history, "loss"), "train"),
        Series("validation", _points(history, "eval_loss"), "validation"),
    ]
    charts = [("Loss", line_chart(loss, "loss"), loss)]
    for metric in METRICS:
        points = _points(history, f"eval_{metric.name}")
        line = [Series("validation sample", points, "validation")]
        title = f"{metric.title} while training"
        charts.append((title, line_chart(line, metric.title.lower(), share=metric.unit == "share"), line))
    return [(title, Markup(svg), [series for series in lines if series.points]) for title, svg, lines in charts if svg]


def _points(history: Sequence[Mapping], key: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[key])) for row in history if row.get(key) is not None and "step" in row]


def _pictures_note(data: ReportData, shown: int, drawn: int) -> list[str]:
    notes = []
    if data.images and shown < data.comparison.rows:
        notes.append(f"Images of {shown:,} of {data.comparison.rows:,} rows are embedded, to keep this file small.")
    if drawn < data.comparison.rows:
        notes.append(f"Formulas of {drawn:,} of {data.comparison.rows:,} rows are drawn.")
    return notes
