"""The console's tables of scores: values with intervals, and before against after."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from texlens.evaluate.comparison import Comparison, Pair
from texlens.metrics.registry import AnyMetric
from texlens.metrics.scores import Scores
from texlens.metrics.statistics import Interval


def scores_table(scores: Scores, title: str = "Scores") -> Table:
    """One line a score: its value and its 95% interval."""
    table = Table(title=f"{title} ({_rows(scores.rows, scores.failed)})", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("score", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    for metric in scores.metrics:
        interval = scores.values[metric.name]
        table.add_row(metric.title, percent(interval.value), percent_span(interval))
    table.caption = _caption(scores)
    table.caption_justify = "left"
    return table


SLICE_METRICS = ("exact_match", "exact_match_canonical", "edit_similarity", "cdm_f1")


def slices_table(slices: Mapping[str, Mapping[str, Scores]]) -> Table:
    """One line a slice: its rows and the scores that say most."""
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
            table.add_row(escape(f"{name}: {part}"), f"{scores.rows:,}", *values)
    return table


def comparison_table(comparison: Comparison, title: str = "Comparison") -> Table:
    """One line a score: each system with its interval, then each pair's difference in points with its interval.

    The p-value of the exact McNemar test stands beside exact match, the one score that it is about.
    """
    table = Table(title=f"{title} ({_rows(comparison.rows)})", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("score", no_wrap=True)
    for name in comparison.systems:
        table.add_column(name, justify="right", no_wrap=True)
    for pair in comparison.pairs:
        several = f" {pair.system}" if len(comparison.pairs) > 1 else ""
        table.add_column(f"difference{several}", justify="right", no_wrap=True)
        table.add_column(f"p{several}", justify="right", no_wrap=True)
    for metric in comparison.systems[comparison.reference].metrics:
        table.add_row(*_cells(metric, comparison.systems, comparison.pairs))
    return table


def systems_table(comparison: Comparison, beside: Comparison) -> Table:
    """One line a system: the scores that say most, and how far it is from the adapter, the reference of `beside`.

    It fits 80 columns; longer names of systems are broken, never cut.
    """
    metrics = [metric for metric in comparison.systems[comparison.reference].metrics if metric.name in SLICE_METRICS]
    pairs = {pair.system: pair for pair in beside.pairs}
    title = f"Comparison ({_rows(comparison.rows)})"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 0), show_edge=False)
    table.add_column("system", overflow="fold")
    for metric in metrics:
        table.add_column(metric.title, justify="right")
    table.add_column(f"{metrics[0].title}\nagainst {beside.reference}", justify="right", no_wrap=True)
    for name, scores in comparison.systems.items():
        cells = [
            f"{percent(value.value)}\n({percent_span(value)})" for value in (scores.values[m.name] for m in metrics)
        ]
        table.add_row(escape(name), *cells, _told(pairs.get(name), metrics[0]))
    return table


def _told(pair: Pair | None, metric: AnyMetric) -> str:
    if pair is None:
        return ""
    difference = pair.differences[metric.name]
    return f"{points(difference.value)}\n({points_span(difference)})\np {p_text(pair.p_value)}"


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


def _cells(metric: AnyMetric, systems: Mapping[str, Scores], pairs: Sequence[Pair]) -> list[str | Text]:
    cells: list[str | Text] = [metric.title]
    for scores in systems.values():
        interval = scores.values[metric.name]
        cells.append(f"{percent(interval.value)}\n({percent_span(interval)})")
    for pair in pairs:
        difference = pair.differences[metric.name]
        style = {"better": "green", "worse": "red", "unsure": ""}[verdict(metric, difference)]
        cells.append(Text(f"{points(difference.value)}\n({points_span(difference)})", style=style))
        cells.append(p_text(pair.p_value) if metric.name == "exact_match" else "")
    return cells


def _caption(scores: Scores) -> str:
    """BLEU's definition, since there are many; and the truths that can't be drawn."""
    lines = [f"{metric.title}: {metric.definition}" for metric in scores.metrics if metric.name == "bleu4"]
    if scores.undrawn_references:
        told = [f"{row}: {problem}" for row, problem in list(scores.undrawn_references.items())[:5]]
        lines += [f"{_rows(len(scores.undrawn_references))} with a reference that can't be drawn:", *told]
        lines += ["…"] if len(scores.undrawn_references) > len(told) else []
    return escape("\n".join(lines))


def _rows(rows: int, failed: int = 0) -> str:
    told = "1 row" if rows == 1 else f"{rows:,} rows"
    return f"{told}, {failed:,} failed" if failed else told
