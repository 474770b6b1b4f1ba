"""The commands that serve an artifact elsewhere as it was trained: pixel limits, adapters on the tower."""

import json
import shlex
from pathlib import Path

from texlens.adapters.lora import SETTINGS
from texlens.inference.vllm.flags import image_flags, lora_flags, why_not_vllm
from texlens.models.bundled import NANO_FOLDER
from texlens.models.export_manifest import ExportManifest


def serving_commands(folder: Path, card: ExportManifest, now: Path) -> list[str]:
    """Shell commands, the likeliest first; empty where nothing but TexLens serves the artifact.

    Args:
        folder: where the artifact will lie.
        now: where it lies while it is made.
    """
    if card.format == "gguf":
        made = card.made
        tokens = [pixels // made["pixels a token"] for pixels in (card.min_pixels, card.max_pixels)]
        return [
            f"llama-server -m {folder / made['model']} --mmproj {folder / made['projector']} "
            f"--image-min-tokens {tokens[0]} --image-max-tokens {tokens[1]}"
        ]
    images = image_flags(card.min_pixels, card.max_pixels)
    if card.format != "adapter":
        return [shlex.join(["vllm", "serve", str(folder), *images])]
    settings = json.loads((now / SETTINGS).read_text(encoding="utf-8"))
    if why_not_vllm(settings):
        return []
    adapters = lora_flags({card.run: str(folder)}, [settings], tower=bool(card.made.get("tower")))
    base = str(NANO_FOLDER) if card.base == "nano" else card.base
    return [shlex.join(["vllm", "serve", base, *adapters, *images])]
