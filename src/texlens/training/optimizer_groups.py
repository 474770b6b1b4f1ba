"""Optimizer parameter groups: learning rates of module groups, LoRA+, weight decay."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from texlens.adapters.attach import PEFT_PREFIX
from texlens.adapters.plan import EXPERTS
from texlens.models.families import MERGER_MODULES

B_MATRIX = re.compile(r"\.(lora_B|moe_lora_B|moe_lora_shared_B)\.")
ADAPTER_SUFFIX = re.compile(r"(\.base_layer)*\.(lora_|moe_lora_|modules_to_save).*|\.(weight|bias)$")


@dataclass(frozen=True)
class GroupLearningRates:
    """What differs from the optimizer's one learning rate.

    Args:
        patterns: module group to a pattern of full layer names.
        learning_rates: of the groups that have their own.
        lora_plus_ratio: learning rate of B over that of A (Hayou et al. 2024, LoRA+, arXiv:2402.12354, section 4).
    """

    patterns: Mapping[str, str] = field(default_factory=dict)
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    lora_plus_ratio: float | None = None


def parameter_groups(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    learning_rate: float,
    weight_decay: float,
    overrides: GroupLearningRates,
) -> list[dict[str, Any]]:
    """The trainable parameters as the optimizer takes them, one group per learning rate and weight decay.

    Vectors (norms, biases, DoRA's magnitudes) have no weight decay.
    """
    patterns = {group: re.compile(pattern) for group, pattern in overrides.patterns.items()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        if not parameter.requires_grad:
            continue
        rate = overrides.learning_rates.get(_module_group(name, patterns), learning_rate)
        if overrides.lora_plus_ratio and B_MATRIX.search(name):
            rate *= overrides.lora_plus_ratio
        decay = weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]


def layer_name(parameter_name: str) -> str:
    """
    Example:
        base_model.model.model.visual.blocks.0.attn.qkv.lora_A.default.weight -> model.visual.blocks.0.attn.qkv
    """
    return ADAPTER_SUFFIX.sub("", parameter_name.removeprefix(PEFT_PREFIX), count=1)


def _module_group(name: str, patterns: Mapping[str, re.Pattern[str]]) -> str:
    layer = layer_name(name)
    if re.search(r"\.experts(\.|$)", layer):
        return EXPERTS
    if re.match(rf"{MERGER_MODULES}(\.|$)", layer):
        return "merger"
    return next((group for group, pattern in patterns.items() if pattern.fullmatch(layer)), "")
