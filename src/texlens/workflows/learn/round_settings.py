"""The run file of a round: the settings of the current model's own run, going on from its adapter, on the round's
rows."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from texlens.config.load import build_config, load_saved_config
from texlens.config.recipes import recipe_named
from texlens.config.run import RunConfig
from texlens.config.yaml_file import read_yaml
from texlens.core.errors import ConfigError
from texlens.inference.opening.run_checkpoint import trained_weights
from texlens.workflows.learn.rehearsal import run_of

SAMPLES = 2_400
"""Rows that are passed in a round, each several times: few rows for long, many rows for short."""
MIN_EPOCHS, MAX_EPOCHS = 3, 20
RUN_NAME = "run"


def round_config(model: str, data: Path, output: Path, rows: int, overrides: Iterable[str] = ()) -> RunConfig:
    """
    Args:
        model: the current one: a run, one of its checkpoints, or a checkpoint without adapter.
        data: folder with the splits train and test.
        rows: of train.
        overrides: settings to change, such as `train.epochs=3`.

    Raises:
        ConfigError: a model that training can't go on from, or an impossible setting.
    """
    values = _of_model(model)
    values["name"], values["output"] = RUN_NAME, str(output)
    values["data"] = _data(values.get("data", {}), data)
    train = values.setdefault("train", {})
    for key in ("steps", "minutes", "epochs"):
        train.pop(key, None)
    train["epochs"] = epochs_for(rows)
    train.setdefault("optimizer", {}).update(warmup_steps=0, warmup_ratio=0.05)
    for key in ("validation", "checkpoints", "logging"):
        train.pop(key, None)
    return build_config(values, "the round's settings", overrides)


def epochs_for(rows: int) -> int:
    """
    Example:
        epochs_for(100) -> 20;  epochs_for(400) -> 6;  epochs_for(10_000) -> 3
    """
    return max(MIN_EPOCHS, min(MAX_EPOCHS, math.ceil(SAMPLES / max(1, rows))))


def _of_model(model: str) -> dict[str, Any]:
    run = run_of(model)
    if run is not None:
        values = load_saved_config(run.config).model_dump(mode="json")
        weights = Path(model) if Path(model) != run.path else trained_weights(run)
        if values["adapter"]["kind"] == "full":
            values["model"]["path"] = str(weights)
        else:
            values["adapter"]["from"] = str(weights)
            if "init" in values["adapter"]:
                values["adapter"]["init"] = "default"
        return values
    if model == "nano":
        return read_yaml(recipe_named("nano_latex-ocr_lora").path)
    if (Path(model) / "adapter_config.json").is_file():
        raise ConfigError(f"{model}: an adapter without its run; name the run folder, so that its settings are known")
    return {"model": {"path": model}, "train": {"batch_size": 8}}


def _data(before: dict[str, Any], folder: Path) -> dict[str, Any]:
    kept_keys = ("prompt", "system_prompt", "max_tokens", "augment")
    splits = {"train": "train", "validation": None, "test": "test"}
    return {"path": str(folder), "splits": splits, **{key: before[key] for key in kept_keys if key in before}}
