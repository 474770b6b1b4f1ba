"""Whose answers are drawn on which rows, from what a command line names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from texlens.adapters.lora import adapter_digest
from texlens.config.load import load_saved_config
from texlens.core.errors import ConfigError
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.data.load import Rows, load_split
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.inference.opening.source import ModelSource, resolve
from texlens.inputs.build import read_split
from texlens.rewards.registry import check_names
from texlens.rewards.score import RewardScorer, RewardSpec
from texlens.workflows.preferences.draw import Choice, DrawOptions, draw_rows


@dataclass(frozen=True)
class AnswerSource:
    """
    Args:
        model: who draws the answers, and whose rows are read without `data`: a run, an adapter or a checkpoint.
        data: the rows, as in data.path.
        checkpoint: of a run: latest, best or a step.
    """

    model: str | None = None
    data: str | None = None
    subset: str | None = None
    split: str = "train"
    limit: int | None = None
    checkpoint: str | None = None


def read_source_rows(source: AnswerSource, seed: int = 0) -> Rows:
    """Rows of a data set, or a run's own; `seed` draws them where there is a limit.

    Raises:
        ConfigError: neither is named.
        DataError: no such rows.
    """
    if source.data is not None:
        return load_split(source.data, split=source.split, subset=source.subset, limit=source.limit, seed=seed)
    model = source.model
    if model is None or not (Path(model) / MANIFEST).is_file():
        raise ConfigError(f"{model or 'no run'}: not a run folder, so it has no rows of its own; name them with --data")
    rows = read_split(load_saved_config(RunFolder.open(Path(model)).config).data, source.split)
    return rows.draw(limit=source.limit, seed=seed)


def weights_of(text: str) -> dict[str, float]:
    """
    Example:
        "exact=1,valid=0.5" -> {"exact": 1.0, "valid": 0.5};  "exact" -> {"exact": 1.0}

    Raises:
        ConfigError: not of this form, or an unknown score.
    """
    weights = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        try:
            weights[name] = float(weight or 1.0)
        except ValueError:
            raise ConfigError(f"--scores {part.strip()!r}: write it as NAME=WEIGHT, such as exact=1") from None
    check_names(list(weights), "--scores")
    return weights


def open_as_trained(weights: ModelSource) -> LoadedModel:
    """The model, reading images as training sees them, once: with a second view of doubtful draws the answers would not
    be draws of the model that is trained on them."""
    return replace(open_model(weights), preparation=None)


def draw_from(
    source: AnswerSource,
    output: Path,
    options: DrawOptions,
    choice: Choice,
    *,
    made_by: Mapping[str, Any],
    overwrite: bool,
    on_progress: Callable[[int, int], None],
) -> tuple[dict[str, Any], bool]:
    """See `draw.draw_rows`.

    Raises:
        ConfigError: no model or no rows are named.
        DataError, ModelError, RunError: no such rows or model.
    """
    if source.model is None:
        raise ConfigError("no model: name the run whose answers are drawn, such as runs/nano")
    rows = read_source_rows(source, options.seed)
    weights = resolve(source.model, checkpoint=source.checkpoint)
    adapter = adapter_digest(weights.adapter) if weights.adapter else ""
    with RewardScorer(RewardSpec(options.weights)) as scorer:
        return draw_rows(
            lambda: open_as_trained(weights),
            rows,
            output,
            options,
            choice,
            made_by={**made_by, "base": weights.base.fingerprint, "adapter": adapter},
            scorer=scorer,
            overwrite=overwrite,
            on_progress=lambda done: on_progress(done, len(rows)),
        )
