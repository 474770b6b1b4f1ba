"""The report of a run folder: collects what the folder records of the run and passes it to `report/`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from texlens.adapters.plan import Coverage
from texlens.config.load import dump_config
from texlens.config.run import RunConfig
from texlens.core.errors import RunError, one_line
from texlens.core.run_folder import RunFolder
from texlens.evaluation.evaluation_rows import drawn_rows
from texlens.evaluation.measured import MeasuredComparison, data_name
from texlens.evaluation.report import ReportData, RowCounts, write_report
from texlens.evaluation.scoring.row_result import DrawnFormulas


def write_run_report(
    saved: RunConfig,
    config: RunConfig,
    folder: RunFolder,
    split: str,
    result: MeasuredComparison,
    drawn: DrawnFormulas | None = None,
) -> Path:
    """Writes the report of a comparison; a part that the run folder lacks is left out.

    Args:
        saved: the settings of the run folder, which the report shows.
        config: those of this comparison, which may name other rows.
        drawn: formulas that were drawn before.
    """
    drawn = drawn or DrawnFormulas()
    rows = drawn_rows(config, split)
    return write_report(
        result.report,
        ReportData(
            title=folder.path.name,
            subtitle=f"{saved.model.path} on {data_name(result.data)}",
            claim=result.overlap.sentence(),
            comparison=result.comparison,
            images={sample.id: sample.image for sample in rows},
            details=_details(saved, folder),
            config_yaml=dump_config(saved),
            coverage=folder.read_list("coverage.json"),
            accounts=_accounts(folder),
            history=folder.history(),
        ),
        draw=drawn.draw,
        draw_pair=drawn.draw_pair,
    )


def _details(config: RunConfig, folder: RunFolder) -> list[tuple[str, str]]:
    manifest = folder.manifest
    training, model = manifest.get("training", {}), manifest.get("model", {})
    environment = folder.read_object("environment.json")
    coverage = _coverage(folder)
    trainable, total = sum(row.parameters for row in coverage), model.get("parameters")
    added = sum(row.parameters for row in coverage if not row.full)
    details = [
        ("Base", config.model.path),
        ("Model", f"{model['class']}, {model['dtype']}, {model['attention']} attention" if model else ""),
        ("Adapter", _adapter(config)),
        ("Trained", f"{trainable:,} of {total + added:,} parameters" if total else ""),
        ("Trained on", " / ".join(part for part in (config.data.path, config.data.subset) if part)),
        ("Prompt", config.data.prompt),
        ("Steps", f"{training['steps']:,} ({training['epochs']:g} epochs)" if training else ""),
        ("Time", f"{training['seconds']:.0f} s, {training['samples_per_s']:.1f} samples/s" if training else ""),
        ("Peak memory", f"{training['peak_memory_gib']:.2f} GiB" if training else ""),
        ("Hardware", environment.get("gpu") or environment.get("cpu", "")),
        ("Software", ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items())),
        ("Seed", str(config.train.seed)),
        ("Date", manifest.get("created", "")),
    ]
    return [(label, value) for label, value in details if value]


def _coverage(folder: RunFolder) -> list[Coverage]:
    try:
        return [Coverage(**row) for row in folder.read_list("coverage.json")]
    except TypeError as error:
        raise RunError(f"{folder.path / 'coverage.json'}: damaged ({one_line(error, 200)}); restore it") from None


def _adapter(config: RunConfig) -> str:
    adapter, base = config.adapter, config.base.quantize
    over = "" if base == "none" else f", over a base in {base}"
    if adapter.kind == "full":
        return "none: weights trained in full"
    experts = f", {adapter.experts} experts a layer" if adapter.kind == "moe-lora" else ""
    return f"{adapter.kind}, rank {adapter.rank}, alpha {adapter.alpha:g}{experts}{over}"


def _accounts(folder: RunFolder) -> list[RowCounts]:
    splits = folder.read_object("data.json").get("splits", {})
    return [RowCounts(role, split["rows"], split["kept"], _rejected(split)) for role, split in splits.items()]


def _rejected(split: Mapping) -> Sequence[str]:
    """Run folders of version 0.1 have `refused_rows`."""
    return split["rejected_rows"] if "rejected_rows" in split else split.get("refused_rows", ())
