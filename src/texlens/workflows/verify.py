"""Verification of an export: adapter and artifact read the same rows; first tokens, texts and scores are compared.

Legend: S = samples, V = vocabulary.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from torch import Tensor

from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder
from texlens.data.sample import Sample
from texlens.evaluation.comparison import compare
from texlens.evaluation.evaluation_rows import read_rows
from texlens.evaluation.predict import evaluation_sampling
from texlens.exporting.formats.protocol import Tolerance
from texlens.exporting.formats.registry import find_format
from texlens.inference.free_memory import free_memory
from texlens.inference.open import open_model
from texlens.inference.opening.exports import check_export
from texlens.inference.opening.source import resolve_run_base
from texlens.inference.plain_generate import plain_generate
from texlens.metrics.prediction import Prediction
from texlens.models.export_manifest import ExportManifest

ROWS = 32
SPLITS = ("test", "validation", "train")
SCORES = ("exact_match", "edit_similarity")
GATE = "edit_similarity"
MAX_GENERATE_DIFFERENCES = 0.1
"""Fraction of rows on which `generate()` may differ from our decoder, whose batches round differently."""


@dataclass(frozen=True)
class FirstToken:
    """Differences of the logits after the prompt; `kl` is KL(adapter || artifact), `top1` the share of rows whose
    likeliest token is the same."""

    max_abs: float
    mean_abs: float
    kl_mean: float
    kl_max: float
    top1: float


@dataclass(frozen=True)
class ScorePair:
    """A score of each, and the difference (artifact - adapter) with its paired 95% interval."""

    adapter: float
    artifact: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Verification:
    format: str
    split: str
    rows: int
    same_texts: int
    same_generated: int | None
    """Rows where plain `generate()` with the artifact's own generation_config.json gives the artifact's text; None for
    formats that transformers does not read."""
    first_token: FirstToken
    scores: Mapping[str, ScorePair]
    tolerance: Tolerance
    faults: list[str]

    def to_json(self) -> dict:
        return {**asdict(self), "passed": not self.faults}


def verify(
    config: RunConfig,
    run: RunFolder,
    folder: Path,
    *,
    rows: int = ROWS,
    tolerance: float = 1.0,
    console: Console,
) -> Verification:
    """Reads `rows` rows of the run's test split (or the first of validation and train that there is) with the run's
    adapter on its base and with the artifact.

    Raises:
        ModelError: no artifact of this run's base.
    """
    base = resolve_run_base(config, run).base
    manifest = check_export(folder, base.fingerprint)
    split = next(name for name in SPLITS if getattr(config.data.splits, name) is not None)
    greedy = config.evaluate.model_copy(update={"max_rows": rows, "temperature": 0.0})
    config = config.model_copy(update={"evaluate": greedy})
    samples = read_rows(config, split, base).samples[:rows]
    console.print(f"verifying on {len(samples)} rows of {split}")
    before, adapter_predictions, _ = _read(run.adapter, config, samples)
    free_memory()
    after, export_predictions, generated = _read(folder, config, samples, generate=manifest.temperature == 0)
    first = first_token(before, after)
    scores = _scores(adapter_predictions, export_predictions, config.evaluate.seed)
    allowed = find_format(manifest.format).tolerance.times(tolerance)
    texts = {prediction.id: prediction.text for prediction in adapter_predictions}
    same_generated = None if generated is None else _same_generated(export_predictions, generated)
    return Verification(
        format=manifest.format,
        split=split,
        rows=len(samples),
        same_texts=sum(prediction.text == texts[prediction.id] for prediction in export_predictions),
        same_generated=same_generated,
        first_token=first,
        scores=scores,
        tolerance=allowed,
        faults=[
            *_faults(first, scores, allowed),
            *_settings_faults(manifest, config),
            *_generate_faults(same_generated, len(samples)),
        ],
    )


def _read(
    folder: Path, config: RunConfig, samples: Sequence[Sample], *, generate: bool = False
) -> tuple[Tensor, list[Prediction], list[str | None] | None]:
    """Logits [S, V] after the prompts, the predictions, and on request the texts of plain `generate()`."""
    model = open_model(folder, config=config)
    settings = config.evaluate
    predictions = model.read(samples, sampling=evaluation_sampling(settings), batch_size=settings.batch_size)
    generated = plain_generate(model, folder, samples) if generate else None
    return model.next_token_logits(samples), predictions, generated


def _same_generated(predictions: Sequence[Prediction], generated: Sequence[str | None]) -> int:
    """Our decoder ends a row that repeats itself, `generate()` does not: then the beginnings must agree."""
    return sum(
        text is None or (text.startswith(prediction.text) if prediction.stop == "loop" else text == prediction.text)
        for prediction, text in zip(predictions, generated, strict=True)
    )


def first_token(before_SV: Tensor, after_SV: Tensor) -> FirstToken:
    """
    Raises:
        ConfigError: no row could be read by both.
    """
    if before_SV.shape[1] != after_SV.shape[1]:
        width = min(before_SV.shape[1], after_SV.shape[1])
        before_SV, after_SV = before_SV[:, :width], after_SV[:, :width]
    known_S = ~before_SV.isnan().any(1)
    before_SV, after_SV = before_SV[known_S], after_SV[known_S]
    if not len(before_SV):
        raise ConfigError("no row of the split can be read, so nothing can be verified; check data.path")
    if not after_SV.isfinite().all():
        return FirstToken(math.inf, math.inf, math.inf, math.inf, 0.0)
    # Logits are defined up to a constant, and some programs shift them.
    off_SV = (after_SV - after_SV.mean(1, keepdim=True)) - (before_SV - before_SV.mean(1, keepdim=True))
    p_SV, q_SV = before_SV.double().log_softmax(1), after_SV.double().log_softmax(1)
    kl_S = (p_SV.exp() * (p_SV - q_SV)).sum(1).clamp(min=0)
    return FirstToken(
        max_abs=float(off_SV.abs().max()),
        mean_abs=float(off_SV.abs().mean()),
        kl_mean=float(kl_S.mean()),
        kl_max=float(kl_S.max()),
        top1=float((before_SV.argmax(1) == after_SV.argmax(1)).double().mean()),
    )


def _scores(before: Sequence[Prediction], after: Sequence[Prediction], seed: int) -> dict[str, ScorePair]:
    comparison = compare({"adapter": before, "artifact": after}, seed=seed)
    values = {name: scores.values for name, scores in comparison.systems.items()}
    differences = comparison.pairs[0].differences
    return {
        name: ScorePair(
            values["adapter"][name].value,
            values["artifact"][name].value,
            differences[name].value,
            differences[name].low,
            differences[name].high,
        )
        for name in SCORES
    }


def _faults(first: FirstToken, scores: Mapping[str, ScorePair], tolerance: Tolerance) -> list[str]:
    faults = []
    if not math.isfinite(first.kl_mean):
        faults.append("its logits are not finite")
    elif first.kl_mean > tolerance.kl_nats:
        faults.append(f"mean KL of the first token {first.kl_mean:.3g} nats, at most {tolerance.kl_nats:g} passes")
    if -scores[GATE].difference > tolerance.edit_similarity:
        faults.append(
            f"edit similarity {100 * scores[GATE].difference:+.2f} points, at most "
            f"−{100 * tolerance.edit_similarity:g} passes"
        )
    return faults


def _generate_faults(same: int | None, rows: int) -> list[str]:
    """Rows may differ where two tokens are equally probable up to rounding, so a few are accepted."""
    if same is None or rows - same <= MAX_GENERATE_DIFFERENCES * rows:
        return []
    return [f"generate() with its generation_config.json gives other texts on {rows - same} of {rows} rows"]


def _settings_faults(manifest: ExportManifest, config: RunConfig) -> list[str]:
    return [] if manifest.prompt == config.data.prompt else ["its prompt differs from the run's"]
