"""Tables of a suite for the terminal: ours in the first line, published results below it with their sources."""

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from texlens.evaluation.suite.benchmarks import Benchmark
from texlens.evaluation.suite.measure import BenchmarkResult
from texlens.evaluation.suite.published import published_on


def suite_table(suite: str, results: Sequence[BenchmarkResult], system: str) -> Table:
    """One column a test set; ours as value and 95% interval, published ones as they were printed, in percent."""
    names = [result.benchmark.name for result in results]
    table = Table(title=escape(f"{suite}: {results[0].benchmark.rule}"), box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("system")
    for result in results:
        table.add_column(result.benchmark.part, justify="right")
    table.add_column("source")
    ours = [
        f"{100 * result.score.value:.1f}\n({100 * result.score.low:.1f}–{100 * result.score.high:.1f})"
        for result in results
    ]
    table.add_row(escape(system), *ours, "this run")
    table.add_row("  canonical match", *(f"{100 * result.canonical.value:.1f}" for result in results), "this run")
    for other in published_on(names):
        values = (f"{other.values[name]:.1f}" if name in other.values else "–" for name in names)
        table.add_row(escape(other.system), *values, escape(other.source))
    return table


def suite_lines(results: Sequence[BenchmarkResult], missing: Sequence[Benchmark]) -> list[str]:
    """What has to be known beside the numbers: rows left out, rows trained on, test sets not here."""
    lines = []
    for result in results:
        name, complete = result.benchmark.name, result.benchmark.rows
        overlap = result.overlap.sentence() if result.overlap else "what it was trained on is not known"
        is_part = complete is not None and result.rows != complete
        part = f"{result.rows:,} of {complete:,} rows, not comparable as a whole; " if is_part else ""
        lines.append(f"{name}: {part}{overlap}")
    lines += [f"{benchmark.name}: not here; get it from {benchmark.obtain}" for benchmark in missing]
    return lines
