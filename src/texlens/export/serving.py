"""The commands that serve an artefact elsewhere as it was trained: pixel limits, adapters on the tower."""

import json
from pathlib import Path
from typing import Any

from texlens.adapters.artefact import ArtefactCard
from texlens.adapters.lora import SETTINGS

SERVED_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM's --max-lora-rank may be."""


def serving_commands(folder: Path, card: ArtefactCard, now: Path) -> list[str]:
    """Shell commands, the likeliest first; empty where nothing but TexLens serves the artefact.

    Args:
        folder: where the artefact will lie.
        now: where it lies while it is made.
    """
    pixels = json.dumps({"min_pixels": card.min_pixels, "max_pixels": card.max_pixels})
    images = """--limit-mm-per-prompt '{"image": 1}'"""
    if card.format == "gguf":
        made = card.made
        tokens = [pixels // made["pixels a token"] for pixels in (card.min_pixels, card.max_pixels)]
        return [
            f"llama-server -m {folder / made['model']} --mmproj {folder / made['projector']} "
            f"--image-min-tokens {tokens[0]} --image-max-tokens {tokens[1]}"
        ]
    if card.format != "adapter":
        return [f"vllm serve {folder} {images} --mm-processor-kwargs '{pixels}'"]
    settings = json.loads((now / SETTINGS).read_text(encoding="utf-8"))
    if settings.get("peft_type") != "LORA":
        return []
    rank = next((served for served in SERVED_RANKS if served >= _highest_rank(settings)), SERVED_RANKS[-1])
    tower = " --enable-tower-connector-lora" if card.made.get("tower") else ""
    return [
        f"vllm serve {card.base} --enable-lora --max-lora-rank {rank}{tower} "
        f"--lora-modules {card.run}={folder} {images} --mm-processor-kwargs '{pixels}'"
    ]


def _highest_rank(settings: dict[str, Any]) -> int:
    return max([settings["r"], *(settings.get("rank_pattern") or {}).values()])
