"""README.md of an exported folder: what it is, how it was made, its scores, how to use it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from texlens.core.files import write_text
from texlens.exporting.formats.serving_commands import ServingCommand
from texlens.models.export_manifest import ExportManifest

PREPARED = (
    "## Images\n\nTexLens prepares images before it reads them with this folder (`image_preparation` in texlens.json): "
    "dark ink on white paper, even light, narrow margins, the glyph heights of training. Other programs don't: give "
    "them such images."
)
SERVING = "Each command decodes as the predictions were decoded that the scores above are of."


def write_readme(
    folder: Path, name: str, manifest: ExportManifest, commands: Sequence[ServingCommand], loading_code: str | None
) -> None:
    """`name` is what the folder will be called."""
    parts = [
        f"# {name}\n\n{_title(manifest)} Read images with this prompt, at {manifest.min_pixels:,} to "
        f"{manifest.max_pixels:,} pixels (the processor here is configured so):\n\n> {manifest.prompt}",
        *([PREPARED] if manifest.image_preparation else []),
        "## How it was made\n\n" + "\n".join(f"- {key}: {value}" for key, value in _provenance(manifest).items()),
        "## Verification\n\n" + _verification(manifest),
    ]
    if loading_code:
        parts.append(f"## Loading\n\n```python\n{loading_code}\n```")
    if commands:
        parts.append(f"## Serving\n\n{SERVING}\n\n```sh\n{_listed(commands)}\n```")
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")


def _listed(commands: Sequence[ServingCommand]) -> str:
    return "\n\n".join(f"# {command.program}\n{command.command}" for command in commands)


def _title(manifest: ExportManifest) -> str:
    is_adapter = manifest.format == "adapter"
    what = "The adapter" if is_adapter else f"The adapter merged into its base, as {manifest.format},"
    return f"{what} of the TexLens run `{manifest.run}` on `{manifest.base}`."


def _provenance(manifest: ExportManifest) -> dict[str, Any]:
    return {
        "format": manifest.format,
        "base": f"{manifest.base} (fingerprint {manifest.base_fingerprint[:16]})",
        "adapter": f"sha256 {manifest.adapter[:16]}",
        **{key: value for key, value in manifest.notes.items() if value not in (None, [], {})},
        "weights": f"{manifest.sizes.get('weights', 0):,} bytes (base: {manifest.sizes.get('base', 0):,})",
    }


def _verification(manifest: ExportManifest) -> str:
    result = manifest.verified
    if result is None:
        return "Not verified (`--no-verify`)."
    first = result["first_token"]
    summary = (
        f"{result['rows']} rows of split {result['split']}, compared with the adapter on its base: "
        f"{result['same_texts']} texts are the same; first token: the same on {first['top1']:.1%} of rows, mean KL "
        f"{first['kl_mean']:.2g} nats, largest difference of a logit {first['max_abs']:.2g}."
    )
    if result.get("same_generated") is not None:
        summary += (
            f" Plain `generate()` with this folder's generation_config.json gives the same text on "
            f"{result['same_generated']} of {result['rows']} rows."
        )
    table = ["| score | adapter | this folder | difference (95%) |\n|---|---|---|---|"]
    table += [
        f"| {name} | {score['adapter']:.4f} | {score['artifact']:.4f} | {score['difference']:+.4f} "
        f"({score['low']:+.4f} … {score['high']:+.4f}) |"
        for name, score in result["scores"].items()
    ]
    return summary + "\n\n" + "\n".join(table)
