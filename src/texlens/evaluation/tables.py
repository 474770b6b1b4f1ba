"""Tables of scores for the terminal: values with 95% intervals, systems and their differences."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from texlens.evaluation.comparison import Comparison, PairedResult
from texlens.metrics.registry import AnyMetric
from texlens.metrics.scores import Scores
from texlens.metrics.statistics import Interval

MAX_SCORES = 8
"""Lines of a score table; `--all` prints the others too."""
MAIN_METRICS = (
    "exact_match",
    "exact_match_canonical",
    "exact_match_picture",
    "edit_similarity",
    "bleu4",
    "character_error_rate",
    "cdm_f1",
    "cdm_exact",
    "caption_bleu4",
    "caption_rouge_l",
    "cider",
)
"""Shown first where a set of scores is longer than `MAX_SCORES`."""


def shown_metrics(metrics: Sequence[AnyMetric], *, show_all: bool = False) -> list[AnyMetric]:
    """At most `MAX_SCORES` of the scores, the main ones, in their own order; all of them with `show_all`."""
    if show_all or len(metrics) <= MAX_SCORES:
        return list(metrics)
    ranks = {name: rank for rank, name in enumerate(MAIN_METRICS)}
    by_rank = sorted(metrics, key=lambda metric: ranks.get(metric.name, len(ranks)))[:MAX_SCORES]
    return [metric for metric in metrics if metric in by_rank]


def scores_table(scores: Scores, title: str = "Scores", *, show_all: bool = False) -> Table:
    """One line per score: its value and its 95% interval."""
    table = Table(
        title=Text(f"{title} ({row_count(scores.rows, scores.failed)})"),
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    table.add_column("score", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    metrics = shown_metrics(scores.metrics, show_all=show_all)
    for metric in metrics:
        interval = scores.values[metric.name]
        table.add_row(metric.title, percent(interval.value), percent_span(interval))
    table.caption = _caption(scores, metrics, len(scores.metrics) - len(metrics))
    table.caption_justify = "left"
    return table


SLICE_METRICS = ("exact_match", "exact_match_canonical", "edit_similarity", "cdm_f1")


def slices_table(slices: Mapping[str, Mapping[str, Scores]]) -> Table:
    """One line per slice: its rows and the main scores."""
    first = next(iter(next(iter(slices.values())).values()))
    metrics = [metric for metric in first.metrics if metric.name in SLICE_METRICS] or list(first.metrics[:3])
    table = Table(title="Slices", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("slice", no_wrap=True)
    table.add_column("rows", justify="right")
    for metric in metrics:
        table.add_column(metric.title, justify="right")
    for name, parts in slices.items():
        for part, scores in parts.items():
            values = [percent(scores.values[metric.name].value) for metric in metrics]
            table.add_row(Text(f"{name}: {part}"), f"{scores.rows:,}", *values)
    return table


def comparison_table(comparison: Comparison, title: str = "Comparison", *, show_all: bool = False) -> Table:
    """One line per score: each system with its interval, then each pair's difference in points with its interval.

    The p-value of the exact McNemar test is on the line of exact match, which it is about.
    """
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("score", no_wrap=True)
    for name in comparison.systems:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for pair in comparison.pairs:
        suffix = f" {pair.system}" if len(comparison.pairs) > 1 else ""
        table.add_column(Text(f"difference{suffix}"), justify="right", no_wrap=True)
        table.add_column(Text(f"p{suffix}"), justify="right", no_wrap=True)
    metrics = comparison.systems[comparison.reference].metrics
    shown = shown_metrics(metrics, show_all=show_all)
    for metric in shown:
        table.add_row(*_cells(metric, comparison.systems, comparison.pairs))
    if len(shown) < len(metrics):
        table.caption = _hidden(len(metrics) - len(shown))
        table.caption_justify = "left"
    return table


def systems_table(comparison: Comparison, title: str = "Comparison") -> Table:
    """One line per system: the main scores, and the difference of exact match from the first system with its p-value,
    corrected for the number of systems (Holm).

    It fits 80 columns; longer names of systems are wrapped, never cut.
    """
    metrics = [metric for metric in comparison.systems[comparison.reference].metrics if metric.name in SLICE_METRICS]
    pairs = {pair.system: pair for pair in comparison.pairs}
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 0), show_edge=False)
    table.add_column("system", overflow="fold")
    for metric in metrics:
        table.add_column(metric.title, justify="right")
    table.add_column(Text(f"{metrics[0].title}\nvs {comparison.reference}"), justify="right", no_wrap=True)
    for name, scores in comparison.systems.items():
        cells = [
            f"{percent(value.value)}\n({percent_span(value)})" for value in (scores.values[m.name] for m in metrics)
        ]
        table.add_row(Text(name), *cells, _difference(pairs.get(name), metrics[0]))
    lines = [f"p-values are corrected for {len(pairs)} comparisons (Holm)"] if len(pairs) > 1 else []
    if hidden := len(comparison.systems[comparison.reference].metrics) - len(metrics):
        lines.append(_hidden(hidden))
    table.caption, table.caption_justify = "\n".join(lines), "left"
    return table


def _difference(pair: PairedResult | None, metric: AnyMetric) -> str:
    if pair is None:
        return ""
    difference = pair.differences[metric.name]
    return f"{points(difference.value)}\n({points_span(difference)})\np {p_text(pair.p_adjusted)}"


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def points(value: float) -> str:
    """A difference of shares in percentage points, its sign always shown."""
    return f"{100 * value:+.1f}".replace("-", "−") if f"{100 * value:.1f}" not in ("0.0", "-0.0") else "0.0"


def percent_span(interval: Interval) -> str:
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}%"


def points_span(interval: Interval) -> str:
    return f"{points(interval.low)} … {points(interval.high)}"


def p_text(p_value: float) -> str:
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def verdict(metric: AnyMetric, difference: Interval) -> str:
    """`better`, `worse`, or `unsure` where the interval of the difference reaches zero."""
    if difference.low <= 0 <= difference.high:
        return "unsure"
    return "better" if (difference.value > 0) == (metric.direction == "higher") else "worse"


def _cells(metric: AnyMetric, systems: Mapping[str, Scores], pairs: Sequence[PairedResult]) -> list[str | Text]:
    cells: list[str | Text] = [metric.title]
    for scores in systems.values():
        interval = scores.values[metric.name]
        cells.append(f"{percent(interval.value)}\n({percent_span(interval)})")
    for pair in pairs:
        difference = pair.differences[metric.name]
        style = {"better": "green", "worse": "red", "unsure": ""}[verdict(metric, difference)]
        cells.append(Text(f"{points(difference.value)}\n({points_span(difference)})", style=style))
        cells.append(p_text(pair.p_adjusted) if metric.name == "exact_match" else "")
    return cells


def _caption(scores: Scores, shown: Sequence[AnyMetric], hidden: int) -> Text:
    """BLEU's definition, since there are many; the references that can't be drawn; how many scores are not shown."""
    lines = [f"{metric.title}: {metric.definition}" for metric in shown if metric.name == "bleu4"]
    if scores.undrawn_references:
        problems = [f"{row}: {problem}" for row, problem in list(scores.undrawn_references.items())[:5]]
        lines += [f"{row_count(len(scores.undrawn_references))} with a reference that can't be drawn:", *problems]
        lines += ["…"] if len(scores.undrawn_references) > len(problems) else []
    lines += [_hidden(hidden)] if hidden else []
    return Text("\n".join(lines))


def _hidden(count: int) -> str:
    return f"{count} more scores: --all, --json or the report"


def row_count(rows: int, failed: int = 0) -> str:
    text = "1 row" if rows == 1 else f"{rows:,} rows"
    return f"{text}, {failed:,} failed" if failed else text
