"""Parameters divided among the optimizer's groups: rates of module groups, LoRA+, weight decay."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from texlens.adapters.attach import PEFT_PREFIX
from texlens.adapters.plan import EXPERTS
from texlens.models.families import MERGER_MODULES

UP_MATRIX = re.compile(r"\.(lora_B|moe_lora_B|moe_lora_shared_B)\.")
ADAPTER_PART = re.compile(r"(\.base_layer)*\.(lora_|moe_lora_|modules_to_save).*|\.(weight|bias)$")


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    *,
    learning_rate: float,
    weight_decay: float,
    groups: Mapping[str, str],
    rates: Mapping[str, float],
    lora_plus_ratio: float | None = None,
) -> list[dict[str, Any]]:
    """The trainable parameters as the optimizer takes them, those of one rate and decay together.

    Args:
        groups: module group to a pattern of full layer names.
        rates: learning rates of groups that have one of their own.
        lora_plus_ratio: how much faster B learns than A (Hayou et al. 2024, LoRA+, arXiv:2402.12354, section 4).
    """
    compiled = {group: re.compile(pattern) for group, pattern in groups.items()}
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        rate = rates.get(_group(name, compiled), learning_rate)
        if lora_plus_ratio and UP_MATRIX.search(name):
            rate *= lora_plus_ratio
        decay = weight_decay if parameter.ndim > 1 else 0.0
        found.setdefault((rate, decay), []).append(parameter)
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in found.items()]


def layer_name(parameter_name: str) -> str:
    """
    Example:
        base_model.model.model.visual.blocks.0.attn.qkv.lora_A.default.weight -> model.visual.blocks.0.attn.qkv
    """
    return ADAPTER_PART.sub("", parameter_name.removeprefix(PEFT_PREFIX), count=1)


def _group(name: str, compiled: Mapping[str, re.Pattern[str]]) -> str:
    layer = layer_name(name)
    if re.search(r"\.experts(\.|$)", layer):
        return EXPERTS
    if re.match(MERGER_MODULES + r"\b", layer):
        return "merger"
    return next((group for group, pattern in compiled.items() if pattern.fullmatch(layer)), "")
