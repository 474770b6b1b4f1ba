"""Evaluation of a run folder: predictions by base and adapter, kept and used again, scored, compared, reported.

And of a bare checkpoint, without any of that.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.progress import Progress
from transformers import PreTrainedModel

from texlens.adapters.lora import adapter_files, check_adapter, load_adapter
from texlens.adapters.metadata import AdapterMetadata
from texlens.config.load import load_saved_config
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError, DataError
from texlens.core.files import sha256_of, write_json
from texlens.core.run_folder import RunFolder
from texlens.data.sample import Sample
from texlens.evaluate.comparison import Comparison, compare
from texlens.evaluate.predictions import read_predictions, write_predictions
from texlens.evaluate.run_report import write_run_report
from texlens.inference.systems import ModelSystem, System, check_artifact, open_artifact, released
from texlens.inputs.build import read_split
from texlens.inputs.row_check import check_rows
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import run_metrics
from texlens.metrics.scores import Scores, score
from texlens.models.build import BaseCheckpoint, build_base, build_model

SYSTEMS = ("base", "adapter")


def open_run(path: Path, overrides: Iterable[str] = ()) -> tuple[RunConfig, RunFolder]:
    """A run folder and its settings, with overrides of data and evaluation laid over them.

    Raises:
        RunError: not a run folder.
        ConfigError: an override of what the run was trained with.
    """
    folder = RunFolder.open(path)
    for override in overrides:
        if override.split(".", 1)[0] not in ("data", "evaluate", "model"):
            raise ConfigError(f"--set {override!r}: a finished run's {override.split('.', 1)[0]} can't be changed")
    return load_saved_config(folder.config, overrides), folder


def evaluate_run(
    config: RunConfig, folder: RunFolder, *, split: str, system: str, fresh: bool, console: Console
) -> Scores:
    """Scores of one system on a split; the predictions and scores are left in the run folder."""
    metrics = run_metrics(config.evaluate.metrics)
    predictions = predict(config, folder, split=split, systems=[system], fresh=fresh, console=console)[system]
    scores = score(predictions, seed=config.evaluate.seed, metrics=metrics)
    write_json(folder.scores(split, system), scores.to_json())
    return scores


def evaluate_checkpoint(config: RunConfig, *, console: Console) -> Scores:
    """Scores of a checkpoint as it is, on the test rows of `config`; nothing is kept."""
    metrics = run_metrics(config.evaluate.metrics)
    base = build_base(config.model)
    samples, failed = read_samples(config, "test", base)
    system = ModelSystem(build_model(base, config.model), base.processor, config)
    made = _read(system, samples, "checkpoint", console)
    return score([*made, *failed], seed=config.evaluate.seed, metrics=metrics)


def compare_run(
    config: RunConfig,
    folder: RunFolder,
    *,
    artifacts: Mapping[str, Path] = MappingProxyType({}),
    console: Console,
    split: str = "test",
    fresh: bool = False,
) -> Comparison:
    """Base against adapter, and exported folders (`artifacts`, by name), on a split.

    Comparison and report are left in the run folder.
    """
    metrics = run_metrics(config.evaluate.metrics)
    predictions = predict(
        config, folder, split=split, systems=SYSTEMS, artifacts=artifacts, fresh=fresh, console=console
    )
    comparison = compare(predictions, seed=config.evaluate.seed, metrics=metrics)
    for system, made in predictions.items():
        scores = score(made, seed=config.evaluate.seed, metrics=metrics)
        write_json(folder.scores(split, system), scores.to_json())
    write_json(folder.comparison(split), comparison.to_json())
    write_run_report(config, folder, split, comparison)
    return comparison


def against_adapter(config: RunConfig, comparison: Comparison) -> Comparison:
    """The same rows with the adapter as the reference, and without the base."""
    others = {name: made for name, made in comparison.predictions.items() if name not in SYSTEMS}
    return compare(
        {"adapter": comparison.predictions["adapter"], **others},
        seed=config.evaluate.seed,
        metrics=run_metrics(config.evaluate.metrics),
    )


def named_artifacts(folders: Sequence[Path]) -> dict[str, Path]:
    """Exported folders by name, the shortest ends of their paths that differ.

    Raises:
        ConfigError: a folder named twice, or called as the run's own systems are.
    """
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise ConfigError("a folder is named twice; name each once")
    for depth in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        names = ["-".join(path.parts[-depth:]).strip("/") for path in paths]
        if len(set(names)) == len(names):
            break
    if taken := sorted(set(names if paths else []) & set(SYSTEMS)):
        raise ConfigError(f"{taken[0]}: the run's own {taken[0]} has that name already; rename the exported folder")
    return dict(zip(names, folders, strict=True)) if paths else {}


def predict(
    config: RunConfig,
    folder: RunFolder,
    *,
    split: str,
    systems: Sequence[str],
    artifacts: Mapping[str, Path] = MappingProxyType({}),
    fresh: bool,
    console: Console,
) -> dict[str, list[Prediction]]:
    """Predictions of each system and artifact, one a row; those made before under the same conditions are read back.

    Raises:
        ModelError: the adapter or an artifact belongs to another base.
    """
    base = run_base(config, folder, adapter="adapter" in systems)
    for path in artifacts.values():
        check_artifact(path, base.fingerprint)
    samples, failed = read_samples(config, split, base)
    made: dict[str, list[Prediction]] = {}
    model: PreTrainedModel | None = None

    def open_system(name: str) -> System:
        nonlocal model
        if name in artifacts:
            model = None
            released()
            return open_artifact(config, base, artifacts[name])
        model = model or build_model(base, config.model)
        if name == "base":
            return ModelSystem(model, base.processor, config)
        adapted = load_adapter(model, folder.adapter, fingerprint=base.fingerprint)
        return ModelSystem(adapted, base.processor, config)

    for name in [*systems, *artifacts]:
        conditions = _conditions(config, folder, split, name, base, samples, artifacts.get(name))
        path = folder.predictions(split, name)
        kept = None if fresh else _kept(path, conditions, len(samples) + len(failed))
        if kept is None:
            kept = [*_read(open_system(name), samples, name, console), *failed]
            write_predictions(path, kept)
            write_json(path.with_suffix(".json"), conditions)
        made[name] = kept
    return made


def run_base(config: RunConfig, folder: RunFolder, *, adapter: bool = True) -> BaseCheckpoint:
    """The run's checkpoint with the pixel budget of training; with `adapter`, once that is known to be made on it.

    Raises:
        ModelError: the adapter is damaged, or belongs to another base.
    """
    card = AdapterMetadata.read(folder.adapter) if folder.adapter.is_dir() else None
    if adapter:
        check_adapter(folder.adapter, None)
    base = build_base(
        config.model, min_pixels=card.min_pixels if card else None, max_pixels=card.max_pixels if card else None
    )
    if adapter:
        check_adapter(folder.adapter, base.fingerprint)
    return base


def report_run(config: RunConfig, folder: RunFolder, *, split: str) -> None:
    """Writes report.html from the predictions that are there.

    Raises:
        DataError: there are none.
    """
    paths = {system: folder.predictions(split, system) for system in SYSTEMS}
    for system, path in paths.items():
        if not path.is_file():
            raise DataError(f"{path}: no predictions of {system} on {split}; run `texlens compare {folder.path}` first")
    predictions = {system: read_predictions(path) for system, path in paths.items()}
    metrics = run_metrics(config.evaluate.metrics)
    write_run_report(config, folder, split, compare(predictions, seed=config.evaluate.seed, metrics=metrics))


def read_samples(config: RunConfig, split: str, base: BaseCheckpoint) -> tuple[list[Sample], list[Prediction]]:
    """The split's rows, and a failed prediction for each that can't be read: it scores zero, it is not dropped."""
    rows = read_split(config.data, split, limit=config.evaluate.max_rows, seed=config.evaluate.seed)
    checked = check_rows(rows, base.processor.geometry, base.processor.tokenizer)
    references = dict(zip(rows.ids(), rows.texts(), strict=True))
    failed = [
        Prediction(row.id, references.get(row.id, ""), "", stop="failed", error=row.reason) for row in checked.rejected
    ]
    samples = list(checked.usable)
    if not samples:
        raise DataError(f"{config.data.path}: no row to read in split {split}; check data.splits.{split}")
    return samples, failed


def _conditions(
    config: RunConfig,
    folder: RunFolder,
    split: str,
    system: str,
    base: BaseCheckpoint,
    samples: list[Sample],
    artifact: Path | None = None,
) -> dict:
    """All that decides a prediction; predictions are used again only where this is the same."""
    geometry = base.processor.geometry
    text = "\n".join(f"{sample.id}\t{sample.text}" for sample in samples)
    adapter = sha256_of(*adapter_files(folder.adapter)) if system == "adapter" else None
    told = {"artifact": _digest_of_folder(artifact)} if artifact else {}
    return {
        **told,
        "split": split,
        "base": base.fingerprint,
        "adapter": adapter,
        "data": [config.data.path, config.data.subset, hashlib.sha256(text.encode()).hexdigest()],
        "pixels": [geometry.min_pixels, geometry.max_pixels],
        "prompt": [config.data.system_prompt, config.data.prompt],
        "evaluate": config.evaluate.model_dump(mode="json", exclude={"metrics"}),
    }


def _digest_of_folder(folder: Path) -> str:
    """A name for an exported folder's files: their names, sizes and times of change."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    told = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _kept(path: Path, conditions: dict, rows: int) -> list[Prediction] | None:
    """Predictions made before, or None where there are none or other conditions hold.

    Raises:
        DataError: the file is damaged or cut short.
    """
    if not path.is_file() or _noted(path.with_suffix(".json")) != conditions:
        return None
    try:
        kept = read_predictions(path)
    except DataError as error:
        raise DataError(f"{error}; --fresh reads the rows anew") from None
    if len(kept) != rows:
        raise DataError(f"{path}: {len(kept)} rows where {rows} were read; restore it, or --fresh reads the rows anew")
    return kept


def _noted(path: Path) -> dict | None:
    """The conditions noted beside predictions; damaged ones count as none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _read(reader: System, samples: list[Sample], system: str, console: Console) -> list[Prediction]:
    order = {sample.id: number for number, sample in enumerate(samples)}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"reading {len(samples)} rows with the {system}", total=len(samples))
        made = []
        for prediction in reader.read(samples):
            made.append(prediction)
            bar.advance(task)
    return sorted(made, key=lambda prediction: order[prediction.id])
