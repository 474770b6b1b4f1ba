"""4-bit rounding with calibration: the merged model reads rows of the task, images and answers included, and each
layer is rounded for the inputs that it then sees, layers before it being rounded already.

One decoder layer's second moments are kept at a time, so memory is the model's own and those of one layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from texlens.core.errors import ExportError
from texlens.export.rounding import Rounded, awq_scales, round_gptq, round_nearest
from texlens.models.families import LANGUAGE_MODEL

GROUPS = (128, 64, 32)
"""Inputs that share a scale; the first that divides every layer's inputs is taken (vLLM's kernels know these)."""

AWQ_SITES = (
    ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ("mlp.up_proj", ("mlp.down_proj",)),
)
"""Where the factors of awq go in a decoder layer: divided out of the first module's outputs, multiplied into the
others' inputs."""

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Calibrated:
    """Codes and scales by layer; `rescaled` are other parameters that awq changed, by name."""

    codes: Mapping[str, Tensor]
    scales: Mapping[str, Tensor]
    rescaled: Mapping[str, Tensor]
    group: int


@dataclass
class _Seen:
    """Second moments [I, I] and summed sizes [I] of a layer's inputs."""

    moments: Tensor
    sizes: Tensor
    tokens: int = 0


def calibrate(
    model: nn.Module,
    batches: Sequence[Batch],
    layers: Sequence[str],
    method: Literal["gptq", "awq"],
    *,
    like: torch.dtype,
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibrated:
    """Rounds the named layers of the model in place.

    Args:
        batches: forward arguments, on the model's device.
        like: the type in which scales are stored.

    Raises:
        ExportError: no group size divides the layers' inputs.
    """
    modules: dict[str, Any] = dict(model.named_modules())
    group = _group([modules[name] for name in layers])
    rescaled: set[str] = set()
    rounded: dict[str, Rounded] = {}
    blocks = _blocks(layers)
    for done, (block, names) in enumerate(blocks.items()):
        if method == "awq" and block:
            rescaled |= _rescale(modules, block, names, _watched(model, modules, names, batches), group, like)
        seen = _watched(model, modules, names, batches) if method == "gptq" else {}
        for name in names:
            weight = modules[name].weight.data
            made = round_gptq(weight, seen[name].moments, group, like) if seen else round_nearest(weight, group, like)
            rounded[name] = made
            modules[name].weight.data = made.weight.to(weight.dtype)
        if on_progress is not None:
            on_progress(done + 1, len(blocks))
    return Calibrated(
        {name: made.codes.cpu() for name, made in rounded.items()},
        {name: made.scales.cpu() for name, made in rounded.items()},
        {f"{name}.weight": modules[name].weight.data.cpu() for name in rescaled - set(layers)},
        group,
    )


def _group(modules: Sequence[Any]) -> int:
    widths = {module.in_features for module in modules}
    group = next((size for size in GROUPS if all(width % size == 0 for width in widths)), None)
    if group is None:
        raise ExportError(
            f"4-bit groups of {', '.join(map(str, GROUPS))} inputs don't divide layers {sorted(widths)} wide; "
            f"use --format int8 or fp8"
        )
    return group


def _blocks(layers: Sequence[str]) -> dict[str, list[str]]:
    """Layers by decoder layer, in order; those of the tower, which reads first, come first under the empty name."""
    blocks: dict[str, list[str]] = {}
    for name in sorted(layers, key=lambda name: name.startswith(LANGUAGE_MODEL)):
        parts = name.split(".")
        block = ".".join(parts[: parts.index("layers") + 2]) if name.startswith(LANGUAGE_MODEL) else ""
        blocks.setdefault(block, []).append(name)
    return blocks


@torch.no_grad()
def _watched(
    model: nn.Module, modules: Mapping[str, Any], names: Sequence[str], batches: Sequence[Batch]
) -> dict[str, _Seen]:
    """What the named layers see when the model reads the batches; padding is left out by a batch having none."""
    seen = {
        name: _Seen(
            torch.zeros(width := modules[name].in_features, width, device=modules[name].weight.device),
            torch.zeros(width, device=modules[name].weight.device),
        )
        for name in names
    }

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0].detach().reshape(-1, inputs[0].shape[-1]).float()
            seen[name].moments += rows.T @ rows
            seen[name].sizes += rows.abs().sum(0)
            seen[name].tokens += len(rows)

        return hook

    handles = [modules[name].register_forward_pre_hook(watch(name)) for name in names]
    try:
        for batch in batches:
            model(**batch, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return seen


@torch.no_grad()
def _rescale(
    modules: Mapping[str, Any],
    block: str,
    names: Sequence[str],
    seen: Mapping[str, _Seen],
    group: int,
    like: torch.dtype,
) -> set[str]:
    """Moves awq's factors from the inputs of a block's layers into the modules before them, whose names come back."""
    changed = set()
    for before, after in AWQ_SITES:
        targets = [f"{block}.{name}" for name in after if f"{block}.{name}" in names]
        source = modules.get(f"{block}.{before}")
        if not targets or source is None:
            continue
        first = seen[targets[0]]
        factors = awq_scales(
            [modules[name].weight for name in targets], first.moments, first.sizes / first.tokens, group, like
        )
        factors = factors.to(source.weight.dtype)
        source.weight.data /= factors if source.weight.ndim == 1 else factors[:, None]
        for name in targets:
            modules[name].weight.data *= factors
        changed.add(f"{block}.{before}")
    return changed
