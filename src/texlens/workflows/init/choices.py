"""The settings of a new run file, each with the reason for its value: a function of data, GPU and goal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from texlens.data.token_estimates import CHARACTERS_PER_TOKEN
from texlens.planner.gpus import Gpu
from texlens.workflows.init.data_overview import DataOverview, split_named
from texlens.workflows.init.goals import Goal

STEPS = 400
"""Steps that a small data set is passed over for, within MAX_EPOCHS."""
MAX_EPOCHS = 8
MIN_ROWS_TO_SPLIT = 40
"""With fewer rows or labels, a share of train would be too few rows to measure anything."""
MODELS = (
    (30.0, "Qwen/Qwen3-VL-8B-Instruct"),
    (7.0, "Qwen/Qwen3-VL-4B-Instruct"),
    (5.0, "Qwen/Qwen2-VL-2B-Instruct"),
)
"""GPU memory in GiB from which a model is suggested; the planner then checks that it fits."""


@dataclass(frozen=True)
class ChosenSetting:
    """One line of the run file: a full key, its value, and why."""

    key: str
    value: Any
    reason: str


def suggested_model(gpu: Gpu | None) -> str:
    """The largest model that fits the GPU's memory, or `nano`, which trains on a CPU."""
    if gpu is None:
        return "nano"
    return next((model for memory_gib, model in MODELS if gpu.memory_gib >= memory_gib), "nano")


def choices(name: str, model: str, data: DataOverview, goal: Goal, gpu: Gpu | None) -> list[ChosenSetting]:
    """Every setting that `init` writes, in the order of the run file."""
    return [
        ChosenSetting("name", name, f"the run folder will be runs/{name}"),
        *_model(model, data, gpu),
        *_data(data, goal),
        *_adapter(model),
        *_train(model, data),
        *_evaluate(data, goal),
    ]


def _model(model: str, data: DataOverview, gpu: Gpu | None) -> list[ChosenSetting]:
    source = "the model that ships with TexLens" if model == "nano" else "a folder, or a hub id that is downloaded"
    chosen = [ChosenSetting("model.path", model, source)]
    if gpu is not None and not gpu.bf16 and model != "nano":
        chosen.append(ChosenSetting("model.dtype", "float16", f"{gpu.title} has no bfloat16 units"))
    if data.largest_pixels and model != "nano":
        pixels = max(65_536, -(-data.largest_pixels // 65_536) * 65_536)
        chosen.append(
            ChosenSetting("model.max_pixels", pixels, f"99% of the images have at most {data.largest_pixels:,} pixels")
        )
    return chosen


def _data(data: DataOverview, goal: Goal) -> list[ChosenSetting]:
    rows = (
        f"{data.rows:,} rows in {data.train}" if data.rows else "not looked at; check it with `texlens data validate`"
    )
    chosen = [ChosenSetting("data.path", data.path, rows)]
    if data.subset:
        chosen.append(ChosenSetting("data.subset", data.subset, "the data set's configuration"))
    chosen += _splits(data)
    chosen.append(ChosenSetting("data.prompt", goal.prompt, "asked about each image, in training and in reading"))
    if goal.augment:
        chosen.append(ChosenSetting("data.augment", goal.augment, "train images change a little in each epoch"))
    return chosen


def _splits(data: DataOverview) -> list[ChosenSetting]:
    names = [name for name in data.splits if name != data.train]
    can_share = min(data.rows, data.labels) >= MIN_ROWS_TO_SPLIT
    validation = split_named(names, "validation", "valid", "val", "dev")
    test = split_named(names, "test", "testing", "test2014")
    return [
        ChosenSetting("data.splits.train", data.train, "rows to learn from"),
        _role(
            "validation", validation, 0.05, can_share, data, "chooses the best checkpoint, and calibrates confidence"
        ),
        _role("test", test, 0.1, can_share, data, "base and adapter are compared on these afterwards"),
    ]


def _role(role: str, split: str | None, share: float, can_share: bool, data: DataOverview, use: str) -> ChosenSetting:
    key = f"data.splits.{role}"
    if split:
        return ChosenSetting(key, split, f"{data.splits[split]:,} rows: {use}")
    if can_share or not data.splits:
        return ChosenSetting(key, share, f"this share of train, divided by label: {use}")
    return ChosenSetting(key, None, f"too few rows to keep some aside; with more: {use}")


def _adapter(model: str) -> list[ChosenSetting]:
    small = model == "nano"
    targets = ["all-linear"] if small else ["text-attention", "text-mlp"]
    return [
        ChosenSetting("adapter.kind", "lora", "low-rank adapters; the base stays as it is"),
        ChosenSetting(
            "adapter.rank", 16, "directions that each layer may change in; `texlens sweep` compares 8, 16, 32"
        ),
        ChosenSetting("adapter.alpha", 32, "updates are scaled by alpha / rank"),
        ChosenSetting(
            "adapter.targets", targets, "all layers, as the model is small" if small else "the language model"
        ),
    ]


def _train(model: str, data: DataOverview) -> list[ChosenSetting]:
    batch = 8
    per_epoch = max(1, -(-data.rows // batch)) if data.rows else 0
    epochs = min(MAX_EPOCHS, max(1, round(STEPS / per_epoch))) if per_epoch else 1
    steps = f"{per_epoch:,} steps each" if per_epoch else "passes over the train rows"
    rate, why = (2e-3, "high, as the model is small") if model == "nano" else (1e-4, "usual for LoRA on these models")
    return [
        ChosenSetting("train.epochs", epochs, steps),
        ChosenSetting("train.batch_size", batch, "rows of a forward pass"),
        ChosenSetting("train.gradient_accumulation", 1, "forward passes of a step"),
        ChosenSetting("train.seed", 0, "the same seed gives the same adapter"),
        ChosenSetting("train.optimizer.learning_rate", rate, why),
        ChosenSetting("train.optimizer.schedule", "cosine", "falls to zero at the end"),
        ChosenSetting("train.optimizer.warmup_ratio", 0.05, "rises over this share of the steps"),
        ChosenSetting("train.logging.every_steps", 10, "how often the loss is measured"),
    ]


def _evaluate(data: DataOverview, goal: Goal) -> list[ChosenSetting]:
    longest = round(data.longest_label / CHARACTERS_PER_TOKEN)
    limit = max(goal.least_tokens, 64 * -(-round(1.25 * longest) // 64))
    reason = f"the longest label has about {longest:,} tokens" if longest else "longer readings are cut, and counted"
    return [
        ChosenSetting("evaluate.batch_size", 32, "rows that are read together"),
        ChosenSetting("evaluate.max_new_tokens", limit, reason),
        ChosenSetting("evaluate.metrics", list(goal.metrics), f"scores for {goal.name}"),
    ]


def laid_over(chosen: Sequence[ChosenSetting], changes: Mapping[str, Any], reason: str) -> list[ChosenSetting]:
    """The choices with other values, in their places; keys that were not chosen are added."""
    replaced = [
        ChosenSetting(setting.key, changes[setting.key], reason) if setting.key in changes else setting
        for setting in chosen
    ]
    known = {setting.key for setting in chosen}
    return [*replaced, *(ChosenSetting(key, value, reason) for key, value in changes.items() if key not in known)]
