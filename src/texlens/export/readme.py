"""README.md of an exported folder: what it is, how it was made, how well it reads, how to use it."""

from pathlib import Path
from typing import Any

from texlens.core.files import write_text
from texlens.models.export_manifest import ExportManifest
from texlens.models.families import FAMILIES

LOADING = """```python
from transformers import AutoProcessor, {class_name}

model = {class_name}.from_pretrained("{folder}", device_map="auto")
processor = AutoProcessor.from_pretrained("{folder}")
```"""

ADAPTER_LOADING = """```python
from peft import PeftModel
from transformers import {class_name}

model = PeftModel.from_pretrained({class_name}.from_pretrained("{base}", device_map="auto"), "{folder}")
```"""


def write_readme(folder: Path, name: str, card: ExportManifest, commands: list[str]) -> None:
    """`name` is what the folder will be called."""
    parts = [
        f"# {name}\n\n{_title(card)} Read images with this question, at {card.min_pixels:,} to "
        f"{card.max_pixels:,} pixels (the processor here is set so):\n\n> {card.question}",
        "## How it was made\n\n" + "\n".join(f"- {key}: {value}" for key, value in _made(card).items()),
        "## Verification\n\n" + _verified(card),
    ]
    loading = {"adapter": ADAPTER_LOADING, "gguf": None}.get(card.format, LOADING)
    if loading:
        class_name = FAMILIES[card.family].class_name
        parts.append("## Loading\n\n" + loading.format(class_name=class_name, folder=name, base=card.base))
    if commands:
        parts.append("## Serving\n\n```sh\n" + "\n".join(commands) + "\n```")
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")


def _title(card: ExportManifest) -> str:
    what = "The adapter" if card.format == "adapter" else f"The adapter merged into its base, as {card.format},"
    return f"{what} of the TexLens run `{card.run}` on `{card.base}`."


def _made(card: ExportManifest) -> dict[str, Any]:
    return {
        "format": card.format,
        "base": f"{card.base} (fingerprint {card.base_fingerprint[:16]})",
        "adapter": f"sha256 {card.adapter[:16]}",
        **{key: value for key, value in card.made.items() if value not in (None, [], {})},
        "weights": f"{card.sizes.get('weights', 0):,} bytes (base: {card.sizes.get('base', 0):,})",
    }


def _verified(card: ExportManifest) -> str:
    told = card.verified
    if told is None:
        return "Not verified (`--no-verify`)."
    first = told["first_token"]
    lines = [
        f"{told['rows']} rows of split {told['split']}, against the adapter on its base: {told['same_texts']} texts "
        f"are the same; first token: the same on {first['top1']:.1%} of rows, mean KL {first['kl_mean']:.2g} nats, "
        f"largest difference of a logit {first['max_abs']:.2g}.",
        "| score | adapter | this folder | difference (95%) |\n|---|---|---|---|",
    ]
    rows = [
        f"| {name} | {one['adapter']:.4f} | {one['artifact']:.4f} | {one['difference']:+.4f} "
        f"({one['low']:+.4f} … {one['high']:+.4f}) |"
        for name, one in told["scores"].items()
    ]
    return lines[0] + "\n\n" + "\n".join([lines[1], *rows])
