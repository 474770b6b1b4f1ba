"""`texlens evaluate MODEL --suite NAMES`: public test sets, with published results beside ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from texlens.cli.shared import message_console, print_json, result_console

if TYPE_CHECKING:
    from texlens.config.run import RunConfig
    from texlens.evaluation.suite.benchmarks import Benchmark
    from texlens.evaluation.suite.find import Copy
    from texlens.evaluation.suite.measure import BenchmarkResult


def evaluate_suite(
    model: str,
    names: str,
    folder: Path | None,
    *,
    system: str | None,
    checkpoint: str | None,
    overrides: Sequence[str],
    use_cache: bool,
    as_json: bool,
) -> None:
    """
    Raises:
        ConfigError: no such suite, or no copy of it.
    """
    from texlens.evaluation.suite.benchmarks import chosen
    from texlens.evaluation.suite.find import find_copies, suite_folder

    copies, missing = find_copies(chosen(names), suite_folder(folder))
    results = _measured(model, copies, system, checkpoint, overrides, use_cache)
    if as_json:
        print_json(_json(model, results, missing))
    else:
        _print(f"{model} {system or ''}".strip(), results, missing)


def _measured(
    model: str,
    copies: "Sequence[Copy]",
    system: str | None,
    checkpoint: str | None,
    overrides: Sequence[str],
    use_cache: bool,
) -> "list[BenchmarkResult]":
    from texlens.core.errors import ConfigError
    from texlens.core.run_folder import MANIFEST
    from texlens.evaluation.saved_run import open_run
    from texlens.evaluation.suite.measure import measure_checkpoint, measure_run
    from texlens.inference.opening.run_checkpoint import run_of_weights

    console = message_console()
    if (Path(model) / MANIFEST).is_file() or run_of_weights(Path(model)):
        config, folder = open_run(Path(model), overrides, checkpoint)
        with folder.locked():
            return measure_run(config, folder, copies, system=system or "adapter", use_cache=use_cache, console=console)
    if system or checkpoint:
        raise ConfigError(f"{model} is not a run folder; leave out --system and --checkpoint")
    return measure_checkpoint(lambda copy: _config(model, copy, overrides), copies, console)


def _config(model: str, copy: "Copy", overrides: Sequence[str]) -> "RunConfig":
    from texlens.config.load import build_config

    splits = {"train": copy.split, "validation": None, "test": copy.split}
    rows = {"path": copy.path, "splits": splits, "allow_outside": True}
    settings = {"model": {"path": model}, "data": rows}
    return build_config(settings, where=f"{model} on {copy.benchmark.name}", overrides=overrides)


def _json(model: str, results: "Sequence[BenchmarkResult]", missing: "Sequence[Benchmark]") -> dict:
    from texlens.evaluation.suite.published import published_on

    published = published_on([result.benchmark.name for result in results])
    return {
        "model": model,
        "results": [result.to_json() for result in results],
        "missing": [benchmark.name for benchmark in missing],
        "published": [
            {"system": other.system, "source": other.source, "percent": dict(other.values)} for other in published
        ],
    }


def _print(system: str, results: "Sequence[BenchmarkResult]", missing: "Sequence[Benchmark]") -> None:
    from texlens.evaluation.suite.tables import suite_lines, suite_table

    console = result_console()
    for suite in dict.fromkeys(result.benchmark.suite for result in results):
        parts = [result for result in results if result.benchmark.suite == suite]
        console.print(suite_table(suite, parts, system))
    for line in suite_lines(results, missing):
        console.print(line, markup=False)
