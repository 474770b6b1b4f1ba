"""Flags with which vLLM reads as training did, and the adapters that it can't serve.

Flags as of version 0.14 and later: `--limit-mm-per-prompt` and `--mm-processor-kwargs` in JSON; `--generation-config`
and `--override-generation-config` for the defaults of requests; LoRA by `--enable-lora`
with `--lora-modules NAME=PATH` and `--max-lora-rank` (one of the ranks that its kernels know), on the vision tower and
the merger by `--enable-tower-connector-lora`. Of an adapter's settings it reads r, lora_alpha, use_rslora, use_dora
and modules_to_save: one scale for all layers.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that --max-lora-rank accepts."""
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


def unsupported_reason(settings: Mapping[str, Any]) -> str | None:
    """Why vLLM refuses an adapter with these settings (adapter_config.json) or would read it wrongly; None where it
    serves it."""
    if settings.get("peft_type") != "LORA":
        return f"vLLM serves LoRA only, not {settings.get('peft_type')}"
    if settings.get("use_dora"):
        return "vLLM does not support DoRA"
    if settings.get("modules_to_save"):
        return "vLLM does not support modules_to_save"
    if settings.get("target_parameters"):
        return "vLLM does not read adapters on stacked experts in PEFT's form"
    if len(_scales(settings)) > 1:
        return "its groups have different scales (alpha / rank), and vLLM has one for all"
    if highest_rank(settings) > RANKS[-1]:
        return f"its rank {highest_rank(settings)} is over vLLM's {RANKS[-1]}"
    return None


def highest_rank(settings: Mapping[str, Any]) -> int:
    return max([int(settings["r"]), *map(int, (settings.get("rank_pattern") or {}).values())])


def _scales(settings: Mapping[str, Any]) -> set[float]:
    """alpha / rank of each pattern of layers, as PEFT computes it."""
    ranks, alphas = settings.get("rank_pattern") or {}, settings.get("alpha_pattern") or {}
    pairs = [(settings["r"], settings["lora_alpha"])]
    pairs += [
        (ranks.get(key, settings["r"]), alphas.get(key, settings["lora_alpha"])) for key in sorted({*ranks, *alphas})
    ]
    root = settings.get("use_rslora")
    return {round(alpha / (math.sqrt(rank) if root else rank), 9) for rank, alpha in pairs}
