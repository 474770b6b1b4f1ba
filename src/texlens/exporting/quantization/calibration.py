"""4-bit rounding with calibration: the merged model reads rows of the task, images and answers included, and each layer
is rounded for the inputs that it then receives, earlier layers being rounded already.

The second moments of one decoder layer are held at a time, so memory is the model's own plus those of one layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from texlens.core.errors import ExportError
from texlens.exporting.quantization.rounding import RoundedWeight, awq_scales, round_gptq, round_nearest
from texlens.models.families import LANGUAGE_MODEL

GROUP_SIZES = (128, 64, 32)
"""Inputs that share a scale; the first that divides every layer's inputs is used (vLLM's kernels know these)."""

AWQ_SITES = (
    ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ("mlp.up_proj", ("mlp.down_proj",)),
)
"""Where AWQ's factors go in a decoder layer: divided out of the first module's outputs, multiplied into the others'
inputs."""

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class CalibratedWeights:
    """Codes and scales by layer; `rescaled` are other parameters that AWQ changed, by name."""

    codes: Mapping[str, Tensor]
    scales: Mapping[str, Tensor]
    rescaled: Mapping[str, Tensor]
    group_size: int


@dataclass
class _InputStatistics:
    """Second moments [I, I] and summed absolute values [I] of a layer's inputs."""

    moments: Tensor
    sums: Tensor
    tokens: int = 0

    def add(self, inputs: Tensor) -> None:
        rows = inputs.detach().reshape(-1, inputs.shape[-1]).float()
        self.moments += rows.T @ rows
        self.sums += rows.abs().sum(0)
        self.tokens += len(rows)


def calibrate(
    model: nn.Module,
    batches: Sequence[Batch],
    layers: Sequence[str],
    method: Literal["gptq", "awq"],
    *,
    scale_dtype: torch.dtype,
    on_progress: Callable[[int, int], None] | None = None,
) -> CalibratedWeights:
    """Rounds the named layers of the model in place.

    Args:
        batches: forward arguments, on the model's device.
        scale_dtype: the type in which scales are stored.

    Raises:
        ExportError: no group size divides the layers' inputs.
    """
    modules: dict[str, Any] = dict(model.named_modules())
    group_size = _group_size([modules[name] for name in layers])
    rescaled: set[str] = set()
    rounded: dict[str, RoundedWeight] = {}
    blocks = _blocks(layers)
    for done, (block, names) in enumerate(blocks.items()):
        if method == "awq" and block:
            statistics = _observe_inputs(model, modules, names, batches)
            rescaled |= _rescale(modules, block, names, statistics, group_size, scale_dtype)
        statistics = _observe_inputs(model, modules, names, batches) if method == "gptq" else {}
        for name in names:
            weight = modules[name].weight.data
            rounded[name] = (
                round_gptq(weight, statistics[name].moments, group_size, scale_dtype)
                if method == "gptq"
                else round_nearest(weight, group_size, scale_dtype)
            )
            modules[name].weight.data = rounded[name].weight.to(weight.dtype)
        if on_progress is not None:
            on_progress(done + 1, len(blocks))
    return CalibratedWeights(
        {name: weight.codes.cpu() for name, weight in rounded.items()},
        {name: weight.scales.cpu() for name, weight in rounded.items()},
        {f"{name}.weight": modules[name].weight.data.cpu() for name in rescaled - set(layers)},
        group_size,
    )


def _group_size(modules: Sequence[Any]) -> int:
    widths = {module.in_features for module in modules}
    size = next((size for size in GROUP_SIZES if all(width % size == 0 for width in widths)), None)
    if size is None:
        raise ExportError(
            f"4-bit groups of {', '.join(map(str, GROUP_SIZES))} inputs don't divide layers {sorted(widths)} wide; "
            f"use --format int8 or fp8"
        )
    return size


def _blocks(layers: Sequence[str]) -> dict[str, list[str]]:
    """Layers by decoder layer, in order; those of the vision tower come first, under an empty name."""
    blocks: dict[str, list[str]] = {}
    for name in sorted(layers, key=lambda name: name.startswith(LANGUAGE_MODEL)):
        parts = name.split(".")
        block = ".".join(parts[: parts.index("layers") + 2]) if name.startswith(LANGUAGE_MODEL) else ""
        blocks.setdefault(block, []).append(name)
    return blocks


@torch.no_grad()
def _observe_inputs(
    model: nn.Module, modules: Mapping[str, Any], names: Sequence[str], batches: Sequence[Batch]
) -> dict[str, _InputStatistics]:
    """Statistics of the named layers' inputs while the model reads the batches, which have no padding."""
    statistics = {
        name: _InputStatistics(
            torch.zeros(width := modules[name].in_features, width, device=modules[name].weight.device),
            torch.zeros(width, device=modules[name].weight.device),
        )
        for name in names
    }

    def hook_for(name: str) -> Callable[..., None]:
        return lambda module, inputs: statistics[name].add(inputs[0])

    handles = [modules[name].register_forward_pre_hook(hook_for(name)) for name in names]
    try:
        for batch in batches:
            model(**batch, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return statistics


@torch.no_grad()
def _rescale(
    modules: Mapping[str, Any],
    block: str,
    names: Sequence[str],
    statistics: Mapping[str, _InputStatistics],
    group_size: int,
    scale_dtype: torch.dtype,
) -> set[str]:
    """Moves AWQ's factors from the inputs of a block's layers into the modules before them; returns their names."""
    changed = set()
    for before, after in AWQ_SITES:
        targets = [f"{block}.{name}" for name in after if f"{block}.{name}" in names]
        source = modules.get(f"{block}.{before}")
        if not targets or source is None:
            continue
        inputs = statistics[targets[0]]
        weights = [modules[name].weight for name in targets]
        factors = awq_scales(weights, inputs.moments, inputs.sums / inputs.tokens, group_size, scale_dtype)
        factors = factors.to(source.weight.dtype)
        source.weight.data /= factors if source.weight.ndim == 1 else factors[:, None]
        for name in targets:
            modules[name].weight.data *= factors
        changed.add(f"{block}.{before}")
    return changed
