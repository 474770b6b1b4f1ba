"""Flags with which vLLM reads as training did, and the adapters that it can't serve.

Flags as of version 0.33: `--limit-mm-per-prompt` and `--mm-processor-kwargs` in JSON; `--generation-config` and
`--override-generation-config` for the defaults of requests; LoRA by `--enable-lora` with `--lora-modules NAME=PATH` and
`--max-lora-rank` (one of the ranks that its kernels know), on the vision tower and the merger by
`--enable-tower-connector-lora`. What it reads of an adapter's settings, and what it refuses, is in its
`lora/peft_helper.py`: ranks and scales per layer are read since 0.33. Adapters on stacked experts are read in PEFT's
form (`lora/model_manager.py`, `_stack_moe_lora_weights`) if both stacks of a layer are adapted.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from texlens.adapters.expert_parameters import shares_experts
from texlens.models.families import Family

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that --max-lora-rank accepts."""
SERVED_INITS = (True, False, "gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Values of `init_lora_weights` whose saved adapters are plain LoRA on the unchanged base."""
WITHOUT_THINKING = {"enable_thinking": False}
"""Variables of chat templates."""
ONE_IMAGE = {"image": 1, "video": 0}


def image_flags(min_pixels: int, max_pixels: int) -> list[str]:
    """One image a prompt, at the pixel budget of training.

    `size` is what Qwen's image processors read; `min_pixels` and `max_pixels` are what vLLM reserves memory by.
    """
    size = {"shortest_edge": min_pixels, "longest_edge": max_pixels}
    budget = {"min_pixels": min_pixels, "max_pixels": max_pixels, "size": size}
    return ["--limit-mm-per-prompt", json.dumps(ONE_IMAGE), "--mm-processor-kwargs", json.dumps(budget)]


def decoding_flags(temperature: float) -> list[str]:
    """Default decoding of requests: at this temperature, 0 being greedy, with no other sampling settings.

    Without them vLLM follows the checkpoint's generation_config.json; with `--generation-config vllm` alone it samples
    at temperature 1.
    """
    return ["--generation-config", "vllm", "--override-generation-config", json.dumps({"temperature": temperature})]


def template_flags(family: Family) -> list[str]:
    """Prompts without thinking, as training has them; none for families that do not think."""
    return ["--default-chat-template-kwargs", json.dumps(WITHOUT_THINKING)] if family.thinks else []


def lora_flags(adapters: Mapping[str, str], settings: Iterable[Mapping[str, Any]], *, tower: bool) -> list[str]:
    """The flags that load adapters.

    Args:
        adapters: name to path.
        settings: of each adapter, all of which vLLM supports (`unsupported_reason` is None).
        tower: one of them has layers in the vision tower or the merger.
    """
    highest = max(highest_rank(values) for values in settings)
    rank = next(known for known in RANKS if known >= highest)
    flags = ["--enable-lora", "--max-loras", str(len(adapters)), "--max-lora-rank", str(rank)]
    flags += ["--enable-tower-connector-lora"] if tower else []
    return [*flags, "--lora-modules", *(f"{name}={path}" for name, path in adapters.items())]


def unsupported_reason(settings: Mapping[str, Any], header: Mapping[str, dict]) -> str | None:
    """Why vLLM refuses an adapter or would read it wrongly; None where it serves it.

    Args:
        settings: its adapter_config.json.
        header: of its safetensors file.
    """
    if settings.get("peft_type") != "LORA":
        return f"vLLM serves LoRA only, not {settings.get('peft_type')}"
    if settings.get("use_dora"):
        return "vLLM does not support DoRA"
    if settings.get("modules_to_save"):
        return "vLLM does not support modules_to_save"
    if settings.get("lora_bias") or settings.get("bias", "none") != "none":
        return "vLLM does not support biases of adapters"
    if (init := settings.get("init_lora_weights", True)) not in SERVED_INITS:
        return f"vLLM refuses init_lora_weights {init!r}, which changed the base's weights"
    if reason := _experts_reason(settings.get("target_parameters") or ()):
        return reason
    if shares_experts(header, settings):
        return "vLLM does not read one adapter that all experts of a layer share"
    if highest_rank(settings) > RANKS[-1]:
        return f"its rank {highest_rank(settings)} is over vLLM's {RANKS[-1]}"
    return None


def _experts_reason(parameters: Iterable[str]) -> str | None:
    """vLLM asserts that a layer with one adapted stack has the other adapted too."""
    stacks: dict[str, set[str]] = {}
    for parameter in parameters:
        experts, _, stack = parameter.rpartition(".")
        stacks.setdefault(experts, set()).add(stack)
    if any(names != {"gate_up_proj", "down_proj"} for names in stacks.values()):
        return "vLLM needs adapters on both stacks of a layer's experts, gate_up_proj and down_proj"
    return None


def highest_rank(settings: Mapping[str, Any]) -> int:
    return max([int(settings["r"]), *map(int, (settings.get("rank_pattern") or {}).values())])
