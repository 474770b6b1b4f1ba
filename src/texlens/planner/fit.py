"""Settings that make a run fit a GPU, the cheapest first: those that cost time before those that change the model.

Halving `batch_size` and doubling `gradient_accumulation` does not change the gradients; only the last ones do.
"""

from collections.abc import Callable, Iterator

from texlens.config.load import build_config
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError

Change = dict[str, object]
"""Settings by their full key, such as {"train.batch_size": 4}."""


BATCH = ("train.batch_size", "train.gradient_accumulation")


def fit(config: RunConfig, fits: Callable[[RunConfig], bool]) -> Change | None:
    """The first change of settings for which `fits` is true, without unnecessary parts; None if no change helps.

    `config` itself is known not to fit.
    """

    def works(change: Change) -> bool:
        changed = with_changes(config, change)
        return changed is not None and fits(changed)

    for change in candidates(config):
        if works(change):
            smaller = {key: value for key, value in change.items() if key not in BATCH}
            return smaller if len(smaller) < len(change) and smaller and works(smaller) else change
    return None


def candidates(config: RunConfig) -> Iterator[Change]:
    """Changes in the order in which they are tried.

    Smaller packs (`auto` includes them); smaller batches alone; recompute with smaller and smaller batches; 8-bit
    optimizer; a quantized base; fewer pixels.
    """
    so_far: Change = {}
    train, compute = config.train, config.train.compute
    if compute.backend != "plain" and compute.pack_tokens != "auto":
        for tokens in (8192, 4096, 2048, 1024):
            if tokens < compute.pack_tokens:
                so_far["train.compute.pack_tokens"] = tokens
                yield dict(so_far)
    recomputing: Change = (
        {"train.compute.recompute": "full"}
        if compute.recompute in ("none", "mlp")
        else {"train.compute.gradient_checkpointing": True}
    )
    if not compute.gradient_checkpointing:
        first = next(_halved(train.batch_size, train.gradient_accumulation), None)
        if first:
            yield first
        so_far |= recomputing
        yield dict(so_far)
    for change in _halved(train.batch_size, train.gradient_accumulation):
        so_far |= change
        yield dict(so_far)
    if train.optimizer.name == "adamw" and config.adapter.kind == "full":
        so_far["train.optimizer.name"] = "adamw-8bit"
        yield dict(so_far)
    if config.adapter.kind != "full" and config.base.quantize in ("none", "fp8"):
        so_far["base.quantize"] = "nf4"
        yield dict(so_far)
    for pixels in (1_048_576, 524_288, 262_144):
        if config.model.max_pixels is None or pixels < config.model.max_pixels:
            so_far["model.max_pixels"] = pixels
            yield dict(so_far)


def _halved(batch_size: int, accumulation: int) -> Iterator[Change]:
    while batch_size > 1 and batch_size % 2 == 0:
        batch_size, accumulation = batch_size // 2, accumulation * 2
        yield {"train.batch_size": batch_size, "train.gradient_accumulation": accumulation}


def with_changes(config: RunConfig, change: Change) -> RunConfig | None:
    """The configuration with the changes, or None if they can't be combined."""
    values = config.model_dump(mode="json", exclude_unset=True)
    for key, value in change.items():
        *branches, leaf = key.split(".")
        parent = values
        for branch in branches:
            parent = parent.setdefault(branch, {})
        parent[leaf] = value
    try:
        return build_config(values)
    except ConfigError:
        return None


def as_overrides(change: Change) -> list[str]:
    """The changes as arguments of `--set`.

    Example:
        {"train.compute.gradient_checkpointing": True} -> ["train.compute.gradient_checkpointing=true"]
    """
    return [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in change.items()]
